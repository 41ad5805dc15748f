import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { rowsOf } from '../support/vault-file.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACED = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, tracestate: 'vendor=1' };
const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };

let given: GatewayWorld;
let key: string;

beforeAll(async () => {
  given = await startGatewayWorld();
  key = await given.addAgent('docs-bot');
});
afterAll(() => given.close());
beforeEach(() => {
  given.upstream.calls.length = 0;
  given.upstream.answer((_call, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json', 'x-request-id': 'of-the-server' })
      .end('{"jsonrpc":"2.0","id":1,"result":{}}'),
  );
});

const ask = (headers: Record<string, string>): Promise<CallAnswer> =>
  call(given.endpoint, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, accept: 'application/json, text/event-stream', ...headers },
    body: PING,
  });

describe('a trace (W3C Trace Context §3.3)', () => {
  it('goes on behind the gateway', async () => {
    expect((await ask(TRACED)).status).toBe(200);
    expect(given.upstream.calls[0]?.headers).toMatchObject(TRACED);
  });

  it.each([
    ['with a header that cannot be read', { ...TRACED, traceparent: `00-${TRACE}-0000000000000000-01` }],
    ['without the header it begins with', { tracestate: 'vendor=1' }],
  ])('%s is none', async (_, headers) => {
    expect((await ask(headers)).status).toBe(200);
    expect(given.upstream.calls[0]?.headers).not.toHaveProperty('traceparent');
    expect(given.upstream.calls[0]?.headers).not.toHaveProperty('tracestate');
  });
});

describe('the id of a request', () => {
  it('is in the answer of the gateway, and not that of the server', async () => {
    expect((await ask({ 'x-request-id': 'mine' })).headers['x-request-id']).toBe('mine');
    expect(given.upstream.calls[0]?.headers).not.toHaveProperty('x-request-id');
  });

  it('is in the audit trail, of what passed and of what was refused', async () => {
    await ask({ 'x-request-id': 'passed' });
    await call(given.endpoint, {
      ...{ method: 'POST', body: 'no JSON' },
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'x-request-id': 'refused',
      },
    });
    await given.calls(2);
    const details = rowsOf<{ detail: string }>(
      given.world.vaultPath,
      "SELECT detail FROM audit WHERE action = 'call'",
    ).map(({ detail }) => JSON.parse(detail).request_id);
    expect(details).toEqual(expect.arrayContaining(['passed', 'refused']));
  });
});
