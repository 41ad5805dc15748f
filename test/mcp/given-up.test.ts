/** Answers of a server that nobody reads: they are given up, and not left open. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { authorization } from '../support/gateway-clients.ts';
import { rawAgent } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { call } from '../support/http-call.ts';

let given: GatewayWorld;
beforeEach(async () => {
  given = await startGatewayWorld();
});
afterEach(() => given.close());

const INITIALIZE = {
  ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};

it('when the session they begin is another agent’s', async () => {
  given.upstream.answer((_call, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'mcp-session-id': 'the-same' });
    response.write(': begun\n\n');
  });
  const first = await rawAgent(given.endpoint, await given.addAgent('first'));
  first.send(INITIALIZE);
  await first.until(': begun');
  const headers = authorization(await given.addAgent('second'));
  const refused = await call(given.endpoint, { method: 'POST', headers, body: INITIALIZE });
  expect(refused.status).toBe(503);
  expect(JSON.stringify(refused.json)).toContain('gave out a session id twice');
  expect(await given.upstream.calls[1]?.ended).toBe(false);
  first.socket.destroy();
});

it('when the agent hangs up while a server of the older transport says why it does not begin', async () => {
  await given.broker().gateway.learnTransport('demo', 'sse');
  given.upstream.answer((_call, response) => {
    response.writeHead(500, { 'content-type': 'text/plain' });
    response.write('because');
  });
  const agent = await rawAgent(given.endpoint, await given.addAgent('docs-bot'));
  agent.send(INITIALIZE);
  await agent.until('because');
  agent.socket.destroy();
  expect(await given.upstream.calls[0]?.ended).toBe(false);
  expect(await given.calls(1)).toMatchObject([{ outcome: 'client_gone', status: 500 }]);
});
