import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { callDaemon } from '../../src/cli/daemon-client.ts';
import { Secret } from '../../src/secret.ts';

const agentKey = new Secret('an-agent-key');

it('keeps the path of a daemon that is reached behind another server', async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    await callDaemon({ daemonUrl: `http://127.0.0.1:${port}/broker/`, agentKey }, 'GET', '/v1/connections');
    await callDaemon({ daemonUrl: `http://127.0.0.1:${port}`, agentKey }, 'GET', '/v1/connections');
    expect(asked).toEqual(['/broker/v1/connections', '/v1/connections']);
  } finally {
    server.close();
  }
});

it.each([
  ['ftp://127.0.0.1', undefined, /BROKER_URL is not the address/],
  ['https://127.0.0.1:1', '/nonexistent/ca.pem', /CA file .* cannot be read \(ENOENT\)/],
])('refuses what it cannot use before it calls: %s', async (daemonUrl, caFile, message) => {
  const called = callDaemon({ daemonUrl, agentKey, caFile }, 'GET', '/');
  await expect(called).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(message) });
});
