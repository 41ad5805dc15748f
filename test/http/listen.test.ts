import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Daemon, type DaemonOptions, startDaemon } from '../../src/daemon.ts';
import { parseListenAddress, requireSafeAddress } from '../../src/http/listen.ts';
import { createLog } from '../../src/log.ts';
import { DAEMON_DEFAULTS } from '../support/daemon.ts';
import { call } from '../support/http-call.ts';
import { startWorld, type World } from '../support/world.ts';

const LOCAL = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

let world: World;
const started: Daemon[] = [];

/** Starts a daemon on `addresses`, each with a broker of its own. */
async function start(options: Partial<DaemonOptions> = {}): Promise<Daemon> {
  const broker = await world.openBroker();
  const seams = { clock: world.clock, log: createLog('silent') };
  const daemon = await startDaemon(broker, { ...DAEMON_DEFAULTS, ...options }, seams);
  started.push(daemon);
  return daemon;
}

const socketPath = () => join(world.home.path, 'run', 'broker.sock');
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

beforeEach(async () => {
  world = await startWorld();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((daemon) => daemon.close()));
  await world.close();
});

describe('an address to listen on', () => {
  it.each([
    ['127.0.0.1:8787', { kind: 'tcp', host: '127.0.0.1', port: 8787 }],
    ['localhost:0', { kind: 'tcp', host: 'localhost', port: 0 }],
    [':9000', { kind: 'tcp', host: '127.0.0.1', port: 9000 }],
    ['[::1]:8787', { kind: 'tcp', host: '::1', port: 8787 }],
    ['0.0.0.0:65535', { kind: 'tcp', host: '0.0.0.0', port: 65_535 }],
    ['unix:/run/broker/broker.sock', { kind: 'unix', path: '/run/broker/broker.sock' }],
  ])('may be %s', (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
  });

  it.each([
    '8787',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:8787',
    'http://127.0.0.1:1',
    '',
    'unix:',
  ])('cannot be %j', (text) => {
    expect(() => parseListenAddress(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it.each(['0.0.0.0', '::', '192.0.2.1', 'broker.example.com', '127.example.com', '127.0.0.1.example.com'])(
    'is refused when tokens would leave this machine in clear: %s',
    (host) => {
      const address = { kind: 'tcp', host, port: 0 } as const;
      expect(() => requireSafeAddress(address, DAEMON_DEFAULTS)).toThrow(
        expect.objectContaining({ code: 'usage', hint: expect.stringContaining('--tls-cert') }),
      );
      requireSafeAddress(address, { ...DAEMON_DEFAULTS, insecureListen: true });
      requireSafeAddress(address, { ...DAEMON_DEFAULTS, tls: { cert: 'c', key: 'k' } });
    },
  );

  it.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('is fine without TLS: %s', (host) => {
    requireSafeAddress({ kind: 'tcp', host, port: 0 }, DAEMON_DEFAULTS);
  });
});

describe('a TCP listener', () => {
  it('is refused on another address than loopback, and nothing is left listening', async () => {
    const addresses = [LOCAL, { kind: 'tcp', host: '0.0.0.0', port: 0 } as const];
    await expect(start({ addresses })).rejects.toMatchObject({ code: 'usage' });
  });

  it('tells a second daemon on its port that the port is in use, and goes on', async () => {
    const [url = ''] = (await start()).urls;
    const address = { ...LOCAL, port: Number(new URL(url).port) };
    await expect(start({ addresses: [address] })).rejects.toMatchObject({
      code: 'port_in_use',
      message: `127.0.0.1:${address.port} is in use`,
    });
    expect((await call(`${url}/healthz`)).status).toBe(200);
  });

  it.skipIf(!hasOpenssl())('speaks TLS when it has a certificate and its key', async () => {
    const [url = ''] = (await start({ tls: makeCertificate(world.home.path) })).urls;
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const secure = connectTls({
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    await once(secure, 'secureConnect');
    expect(secure.getPeerCertificate().subject.CN).toBe('localhost');
    secure.destroy();
  });

  it('tells which TLS file cannot be used', async () => {
    const tls = { cert: join(world.home.path, 'none.pem'), key: join(world.home.path, 'none.key') };
    await expect(start({ tls })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('ENOENT'),
    });
    for (const path of [tls.cert, tls.key]) writeFileSync(path, 'this is no PEM');
    await expect(start({ tls })).rejects.toMatchObject({ code: 'usage' });
  });

  it('refuses a public URL that is none', async () => {
    await expect(start({ publicUrl: 'broker.example.com' })).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('a Unix socket', () => {
  const unix = (path = socketPath()) => ({ addresses: [{ kind: 'unix', path } as const] });

  it('is for its owner alone, and answers whatever the Host is', async () => {
    const [url = ''] = (await start(unix())).urls;
    expect(url).toBe(`unix:${socketPath()}`);
    expect(lstatSync(socketPath()).isSocket()).toBe(true);
    expect(mode(socketPath())).toBe('600');
    const headers = { host: 'anything.example.com' };
    expect((await call(`${url} /healthz`, { headers })).status).toBe(200);
    expect((await call(`${url} /v1/connections`, { headers })).status).toBe(401);
  });

  it('still refuses web pages', async () => {
    const [url = ''] = (await start(unix())).urls;
    const headers = { origin: 'https://evil.example.com' };
    expect((await call(`${url} /healthz`, { headers })).status).toBe(403);
  });

  it('gets the mode asked for', async () => {
    await start({ ...unix(), socketMode: 0o660 });
    expect(mode(socketPath())).toBe('660');
  });

  it('is given to a group, by number or by name, before its mode lets that group in', async () => {
    const gid = process.getgid?.() ?? 0;
    await start({ ...unix(), socketMode: 0o660, socketGroup: String(gid) });
    expect(lstatSync(socketPath())).toMatchObject({ gid });
    expect(mode(socketPath())).toBe('660');
  });

  it('is refused for a group that is not there, and nothing is left listening', async () => {
    await expect(start({ ...unix(), socketGroup: 'no-such-group' })).rejects.toMatchObject({ code: 'usage' });
    expect(existsSync(socketPath())).toBe(false);
  });

  it('stands beside a TCP listener', async () => {
    const { urls } = await start({ addresses: [LOCAL, ...unix().addresses] });
    expect((await call(`${urls[0]}/healthz`)).status).toBe(200);
    expect((await call(`${urls[1]} /healthz`)).status).toBe(200);
  });

  it('takes the place of one that a killed daemon left behind', async () => {
    await leaveStaleSocket(socketPath());
    const [url = ''] = (await start(unix())).urls;
    expect((await call(`${url} /healthz`)).status).toBe(200);
  });

  it('is refused while somebody answers there, and that one goes on', async () => {
    const [url = ''] = (await start(unix())).urls;
    await expect(start(unix())).rejects.toMatchObject({ code: 'port_in_use' });
    expect((await call(`${url} /healthz`)).status).toBe(200);
  });

  it('never takes the place of a file', async () => {
    writeFileSync(socketPath(), 'precious');
    await expect(start(unix())).rejects.toMatchObject({ code: 'port_in_use' });
    expect(existsSync(socketPath())).toBe(true);
    expect(lstatSync(socketPath()).isFile()).toBe(true);
  });

  it('is refused in a directory that is not there, with that as the advice', async () => {
    await expect(start(unix(join(world.home.path, 'nowhere', 'broker.sock')))).rejects.toMatchObject({
      code: 'port_in_use',
      hint: expect.stringContaining('directory'),
    });
  });

  it('is gone after the daemon has stopped', async () => {
    const daemon = await start(unix());
    await daemon.close();
    expect(existsSync(socketPath())).toBe(false);
  });
});

/** A socket file nobody listens on: renamed away before its server closes, so that the close cannot remove it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.old`, resolve));
  renameSync(`${path}.old`, path);
  await new Promise((resolve) => server.close(resolve));
  chmodSync(path, 0o600);
}

function hasOpenssl(): boolean {
  return spawnSync('openssl', ['version']).status === 0;
}

/** A self-signed certificate for a day, made for this test alone. */
function makeCertificate(directory: string): { cert: string; key: string } {
  const tls = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', tls.key, '-out', tls.cert];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    ...curve,
    ...files,
    '-days',
    '1',
    '-subj',
    '/CN=localhost',
  ]);
  expect(made.status).toBe(0);
  return tls;
}
