import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type ProbeAnswer, probeInitialize } from '../../src/oauth/probe.ts';
import { Secret } from '../../src/secret.ts';
import { freePort } from '../support/free-port.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const TOKEN = new Secret('fake-access-token');
const CREDENTIAL = [['Authorization', new Secret(`Bearer ${TOKEN.reveal()}`)]] as const;

let server: RawServer;

async function probe(answer: RawAnswer): Promise<ProbeAnswer> {
  server = await startRawServer(({ method }) => (method === 'POST' ? answer : { status: 405 }));
  return probeInitialize(`${server.url}/mcp`, CREDENTIAL, fetch);
}

afterEach(() => server?.close());

const result = (serverInfo: unknown) => ({ jsonrpc: '2.0', id: 1, result: { serverInfo } });
const challenge = (text: string) => ({ 'www-authenticate': text });
const stream = { 'content-type': 'text/event-stream' };

describe('initialize with a token', () => {
  it('is sent as an MCP client sends it, and its session is given back', async () => {
    await probe({
      status: 200,
      headers: { 'mcp-session-id': 'session-1' },
      body: result({ name: 'x' }),
    });
    const [asked, ended] = server.requests;
    expect(asked).toMatchObject({
      method: 'POST',
      path: '/mcp',
      headers: {
        authorization: 'Bearer fake-access-token',
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
      },
    });
    expect(JSON.parse(asked?.body ?? '')).toMatchObject({ jsonrpc: '2.0', method: 'initialize' });
    expect(ended).toMatchObject({
      method: 'DELETE',
      headers: { authorization: 'Bearer fake-access-token', 'mcp-session-id': 'session-1' },
    });
    expect(server.requests).toHaveLength(2);
  });

  it.each<[string, RawAnswer & { status: number }, object]>([
    [
      'JSON',
      { status: 200, body: result({ name: 'docs', version: '1.2.3' }) },
      { kind: 'initialized', server: 'docs 1.2.3' },
    ],
    [
      'the last event of a stream',
      {
        status: 200,
        headers: stream,
        body: `data: {"jsonrpc":"2.0","id":"","error":{}}\n\nevent: ping\ndata: {"jsonrpc":"2.0","method":"x"}\n\n: hi\r\ndata: ${JSON.stringify(result({ name: 'docs' }))}\r\n\r\n`,
      },
      { kind: 'initialized', server: 'docs' },
    ],
    [
      'a name that moves the cursor, too long',
      { status: 200, body: result({ name: `\u001b[2J${'x'.repeat(200)}`, version: 7 }) },
      { kind: 'initialized', server: `[2J${'x'.repeat(77)}…` },
    ],
    ['nothing one can read', { status: 202, body: '<html>' }, { kind: 'initialized', server: undefined }],
    [
      'a JSON-RPC error',
      { status: 200, body: { jsonrpc: '2.0', id: 1, error: { code: -32_001, message: 'login\nexpired' } } },
      { kind: 'not_initialized', told: '-32001 "login expired"', code: -32_001 },
    ],
    [
      'a JSON-RPC error that is none',
      { status: 400, body: { jsonrpc: '2.0', error: 'x' } },
      { kind: 'not_initialized', told: 'an error' },
    ],
    [
      '401',
      {
        status: 401,
        headers: challenge('Bearer error="invalid_token", scope="a"'),
        body: 'fake-access-token',
      },
      { kind: 'token_refused', told: '401 invalid_token' },
    ],
    ['401 without a challenge', { status: 401 }, { kind: 'token_refused', told: '401' }],
    [
      '403 insufficient_scope',
      { status: 403, headers: challenge('Basic, Bearer error=insufficient_scope, scope="a b"') },
      { kind: 'insufficient_scope', scope: 'a b' },
    ],
    [
      '403 insufficient_scope without the scope',
      { status: 403, headers: challenge('Bearer error="insufficient_scope"') },
      { kind: 'insufficient_scope', scope: undefined },
    ],
    ['another 403', { status: 403, body: 'Forbidden' }, { kind: 'refused', told: '403 "Forbidden"' }],
    ['404', { status: 404 }, { kind: 'refused', told: '404' }],
    ['a redirect', { status: 302, headers: { location: '/login' } }, { kind: 'refused', told: '302' }],
    ['429', { status: 429 }, { kind: 'unavailable', told: '429' }],
    [
      '502',
      { status: 502, body: '<h1>Bad gateway</h1>' },
      { kind: 'unavailable', told: '502 "Bad gateway"' },
    ],
  ])('reads %s', async (_, answer, expected) => {
    expect(await probe(answer)).toEqual({ status: answer.status, ...expected });
  });

  it('does not follow a redirect with the token', async () => {
    await probe({ status: 307, headers: { location: '/elsewhere' } });
    expect(server.requests.map(({ path }) => path)).toEqual(['/mcp']);
  });

  it('fails with what the network says', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`;
    await expect(probeInitialize(url, CREDENTIAL, fetch)).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
  });

  it('takes the status of an answer that does not come to an end', async () => {
    const open = createServer((_request, response) => {
      response.writeHead(200, stream);
      response.write(`data: ${JSON.stringify(result({ name: 'docs' }))}\n\n`);
    });
    const url = await listenOnLoopback(open);
    expect(await probeInitialize(`${url}/mcp`, CREDENTIAL, fetch)).toEqual({
      status: 200,
      kind: 'initialized',
      server: undefined,
    });
    await closeServer(open);
  }, 15_000);
});
