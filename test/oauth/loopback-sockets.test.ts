import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { closeNow, listenOnAll } from '../../src/oauth/loopback-sockets.ts';
import { hasIpv6 } from '../support/ipv6.ts';

/** For documentation (RFC 3849, RFC 5737): no machine has them. */
const ABSENT_IPV6 = '2001:db8::1';
const ABSENT_IPV4 = '192.0.2.1';

const open: { close(): void }[] = [];

afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

const listen = async (addresses: string[], port = 0, makeServer: () => Server = () => createServer()) => {
  const all = await listenOnAll(addresses, port, makeServer);
  open.push(...all.servers);
  return { ...all, places: all.servers.map((server) => server.address() as AddressInfo) };
};

describe('several addresses behind one port', () => {
  it.runIf(hasIpv6)('share a drawn port', async () => {
    const { port, places } = await listen(['127.0.0.1', '::1']);
    // Systems give higher ones to outgoing connections: such a port might be gone at the next login.
    expect(port).toBeGreaterThanOrEqual(20_000);
    expect(port).toBeLessThan(32_768);
    expect(places).toMatchObject([
      { address: '127.0.0.1', port },
      { address: '::1', port },
    ]);
  });

  it.each([
    ['second', ['127.0.0.1', ABSENT_IPV6]],
    ['first', [ABSENT_IPV4, '127.0.0.1']],
  ])('are one where the machine does not have the %s', async (_, addresses) => {
    expect((await listen(addresses)).places).toMatchObject([{ address: '127.0.0.1' }]);
  });

  it('cannot all be absent', async () => {
    await expect(listen([ABSENT_IPV4, ABSENT_IPV6])).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringMatching(/^no callback port .*(EADDRNOTAVAIL|EAFNOSUPPORT)/),
      hint: expect.stringContaining('127.0.0.1'),
    });
  });

  it.runIf(hasIpv6)('draw another port when somebody has the first on the other address', async () => {
    const drawn: number[] = [];
    const strangers: Promise<unknown>[] = [];
    // Takes the first drawn port on ::1 as soon as it is known, before the broker can.
    const makeServer = () => {
      const server = createServer();
      server.once('listening', () => {
        const { address, port } = server.address() as AddressInfo;
        if (address === '127.0.0.1') drawn.push(port);
        if (drawn.length > 1 || address !== '127.0.0.1') return;
        const stranger = createSocketServer().listen({ host: '::1', port });
        open.push(stranger);
        strangers.push(once(stranger, 'listening'));
      });
      return server;
    };
    const { port, places } = await listen(['127.0.0.1', '::1'], 0, makeServer);
    await Promise.all(strangers);
    expect(drawn).toHaveLength(2);
    expect(port).toBe(drawn[1]);
    expect(places).toHaveLength(2);
  });

  it('give up when no port is free on all, and leave nothing listening', async () => {
    const made: Server[] = [];
    const makeServer = () => {
      const server = createServer();
      made.push(server);
      return server;
    };
    // The second is never free, because the first has it.
    await expect(listen(['127.0.0.1', '127.0.0.1'], 0, makeServer)).rejects.toMatchObject({
      code: 'port_in_use',
      hint: expect.stringContaining('--callback-port'),
    });
    expect(made.length).toBeGreaterThan(2);
    expect(made.filter(({ listening }) => listening)).toEqual([]);
  });

  it('do not draw when the port is given', async () => {
    const { port } = await listen(['127.0.0.1']);
    let made = 0;
    const makeServer = () => {
      made += 1;
      return createServer();
    };
    await expect(listen(['127.0.0.1', '::1'], port, makeServer)).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(String(port)),
    });
    expect(made).toBe(1);
  });
});

it('closing at once cuts what is open', async () => {
  const { servers, port } = await listen(['127.0.0.1']);
  const [server] = servers as [Server];
  const received = once(server, 'request');
  const page = fetch(`http://127.0.0.1:${port}/`).catch(() => 'hung up');
  await received;
  await closeNow(server);
  expect(await page).toBe('hung up');
  open.length = 0;
});
