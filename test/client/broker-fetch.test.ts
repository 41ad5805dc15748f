import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { brokerFetch } from '../../src/client/index.ts';
import { type ClientWorld, connectFiles, startClientWorld } from '../support/client-world.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';

const GET = 'GET /v1/connections/files/token';
const POST = 'POST /v1/connections/files/token';
const OK: RawAnswer = { status: 200, body: 'fine' };
const REFUSED: RawAnswer = { status: 401, body: 'no' };

let test: ClientWorld;
/** The server of the connection `files`. */
let files: RawServer;
let answer: (request: RawRequest) => RawAnswer | Promise<RawAnswer>;
let api: string;

beforeEach(async () => {
  test = await startClientWorld();
  answer = () => REFUSED;
  files = await connectFiles(test, (request) => answer(request));
  api = `${files.url}/api`;
  answer = () => OK;
  test.asked.length = 0;
});

afterEach(async () => {
  await files.close();
  await test.close();
});

const bearer = async (generation?: number) => {
  const token = await test.broker.token(OPERATOR, 'files');
  if (generation !== undefined) expect(token.generation).toBe(generation);
  return `Bearer ${token.accessToken.reveal()}`;
};

/** Takes any token but the one current now. */
async function refusePresentToken(): Promise<void> {
  const refused = await bearer();
  answer = ({ headers }) => (headers.authorization === refused ? REFUSED : OK);
  test.world.clock.jump(60_000);
}

describe('a call', () => {
  it('carries the token and what the caller says, and the daemon is asked once', async () => {
    const fetch = brokerFetch(test.options('files'));
    const call = () =>
      fetch(`${api}?a=1`, {
        method: 'POST',
        headers: { 'x-mine': 'yes', authorization: 'Basic mine' },
        body: '{"a":1}',
      });
    const answers = await Promise.all(Array.from({ length: 20 }, call));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(test.asked).toEqual([GET]);
    expect(files.requests[0]).toMatchObject({
      method: 'POST',
      path: '/api?a=1',
      body: '{"a":1}',
      headers: { 'x-mine': 'yes', authorization: await bearer(1) },
    });
  });

  it('may be a URL or a Request', async () => {
    const fetch = brokerFetch(test.options('files'));
    await fetch(new URL(api));
    await fetch(new Request(api, { method: 'PUT', body: 'b', headers: { 'x-mine': 'yes' } }));
    expect(files.requests.map(({ method, body, headers }) => [method, body, headers['x-mine']])).toEqual([
      ['GET', '', undefined],
      ['PUT', 'b', 'yes'],
    ]);
    expect(files.requests[1]?.headers.authorization).toBe(await bearer(1));
  });

  it('goes through the fetch of the caller', async () => {
    const sent: unknown[] = [];
    const fetch = brokerFetch(test.options('files'), (input, init) => {
      sent.push(String(input));
      return globalThis.fetch(input, init);
    });
    expect(await (await fetch(api)).text()).toBe('fine');
    expect(sent).toEqual([api]);
  });

  it('to another server is refused before anything is sent', async () => {
    const stranger = await startRawServer(() => OK);
    await expect(brokerFetch(test.options('files'))(`${stranger.url}/api`)).rejects.toMatchObject({
      name: 'BrokerClientError',
      code: 'resource_mismatch',
      connection: 'files',
      message: expect.stringContaining(stranger.url),
    });
    await expect(brokerFetch(test.options('files'))(`${stranger.url}#${api}`)).rejects.toThrow();
    expect(stranger.requests).toEqual([]);
    await stranger.close();
  });

  it('ends when the caller gives up, also while the daemon is asked; the others go on', async () => {
    const gate = createGate(isRefresh);
    test.world.authorizationServer.fail(gate.rule);
    test.world.clock.jump(3_600_000);
    const fetch = brokerFetch(test.options('files'));
    const patient = fetch(api);
    const interrupt = new AbortController();
    const hasty = fetch(api, { signal: interrupt.signal });
    await gate.arrived;
    interrupt.abort(new Error('enough'));
    await expect(hasty).rejects.toThrow('enough');
    gate.open();
    expect((await patient).status).toBe(200);
    expect(files.requests).toHaveLength(1);
  });

  it('that was given up before it began asks nobody', async () => {
    const signal = AbortSignal.abort(new Error('never'));
    await expect(brokerFetch(test.options('files'))(api, { signal })).rejects.toThrow('never');
    const request = new Request(api, { signal });
    await expect(brokerFetch(test.options('files'))(request)).rejects.toThrow('never');
    // A question on its way would have come by the time that this one is answered.
    expect((await brokerFetch(test.options('files'))(api)).status).toBe(200);
    expect([test.asked, files.requests.length]).toEqual([[GET], 1]);
  });
});

describe('a call that is refused with 401', () => {
  it.each<[string, () => RequestInit]>([
    ['nothing', () => ({})],
    ['a string', () => ({ method: 'POST', body: 'sent again' })],
    ['URLSearchParams', () => ({ method: 'POST', body: new URLSearchParams({ sent: 'again' }) })],
    ['a Uint8Array', () => ({ method: 'POST', body: new TextEncoder().encode('sent again') })],
    ['a Blob', () => ({ method: 'POST', body: new Blob(['sent again']) })],
    ['FormData', () => ({ method: 'POST', body: formData() })],
  ])('is made once more with a newer token when its body is %s', async (_, init) => {
    const fetch = brokerFetch(test.options('files'));
    await fetch(api);
    await refusePresentToken();
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(api, init())));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(test.asked).toEqual([GET, POST]);
    const [first, last] = [files.requests[1], files.requests.at(-1)];
    expect(last?.headers.authorization).toBe(await bearer(2));
    const plain = (body = '') => body.replace(/-{4,}\S+/g, '');
    expect(plain(last?.body)).toBe(plain(first?.body));
    if (init().body) expect(last?.body).toContain('again');
  });

  it('is made once more as a Request without a body, and when the refusal breaks off in the middle', async () => {
    const broken = new ReadableStream({ start: (body) => body.error(new Error('the connection broke')) });
    let isFirst = true;
    const fetch = brokerFetch(test.options('files'), (input, init) => {
      if (!isFirst) return globalThis.fetch(input, init);
      isFirst = false;
      return Promise.resolve(new Response(broken, { status: 401 }));
    });
    test.world.clock.jump(60_000);
    expect((await fetch(new Request(api))).status).toBe(200);
    expect(test.asked).toEqual([GET, POST]);
    expect(files.requests.map(({ headers }) => headers.authorization)).toEqual([await bearer(2)]);
  });

  it('is not repeated when its body is a stream, but the next one has a newer token', async () => {
    const fetch = brokerFetch(test.options('files'));
    await refusePresentToken();
    const stream = new Blob(['once']).stream();
    const refused = await fetch(api, { method: 'POST', body: stream, duplex: 'half' } as RequestInit);
    expect([refused.status, await refused.text()]).toEqual([401, 'no']);
    const request = new Request(api, { method: 'POST', body: 'once' });
    expect((await fetch(request)).status).toBe(200);
    expect(files.requests.map(({ body }) => body)).toEqual(['once', 'once']);
    expect(test.asked).toEqual([GET, POST]);
  });

  it('is answered with the second 401 when that comes too, and nothing goes in a circle', async () => {
    const fetch = brokerFetch(test.options('files'));
    test.world.clock.jump(60_000);
    answer = () => REFUSED;
    expect(await (await fetch(api)).text()).toBe('no');
    expect(files.requests).toHaveLength(2);
    expect(test.asked).toEqual([GET, POST]);
    // The token is as new as can be: the daemon says so, and the server's own answer is passed on.
    expect(await (await fetch(api)).text()).toBe('no');
    expect(files.requests).toHaveLength(3);
    expect(test.asked).toEqual([GET, POST, POST]);
    expect(test.world.authorizationServer.refreshes()).toBe(1);
  });

  it('ends with what the broker says when there is no newer token', async () => {
    const fetch = brokerFetch(test.options('files'));
    await refusePresentToken();
    await test.world.authorizationServer.revokeGrantsOf('alice');
    await expect(fetch(api)).rejects.toMatchObject({
      name: 'BrokerClientError',
      code: 'upstream_unavailable',
      retryAfterSeconds: expect.any(Number),
    });
    expect(files.requests).toHaveLength(1);
  });
});

describe('a connection whose resource is not where its server is', () => {
  it('is sent to its server all the same, after one look', async () => {
    const resource = 'urn:example:api';
    const daemon = await startRawServer(({ path }) => ({
      status: 200,
      body: path.endsWith('/token')
        ? { access_token: 'fake-access', generation: 1, resource }
        : { name: 'files', url: api, resource },
    }));
    const fetch = brokerFetch({ ...test.options('files'), url: daemon.url });
    await fetch(api);
    await fetch(api);
    await expect(fetch('http://127.0.0.1:9/api')).rejects.toMatchObject({ code: 'resource_mismatch' });
    expect(daemon.requests.map(({ path }) => path)).toEqual([
      '/v1/connections/files/token',
      '/v1/connections/files',
    ]);
    expect(files.requests[0]?.headers.authorization).toBe('Bearer fake-access');
    await daemon.close();
  });
});

it('MCP SDK v1 works through it, and 20 calls at once ask the daemon once', async () => {
  const client = new Client({ name: 'test-agent', version: '1.0.0' });
  const fetch = brokerFetch(test.options('demo'));
  const transport = new StreamableHTTPClientTransport(new URL(test.world.mcp.url), { fetch });
  await client.connect(transport as Transport);
  const whoami = () => client.callTool({ name: 'whoami', arguments: {} });
  for (const { content } of await Promise.all(Array.from({ length: 20 }, whoami)))
    expect(content).toEqual([{ type: 'text', text: 'alice' }]);
  expect(test.asked).toEqual(['GET /v1/connections/demo/token']);
  test.world.authorizationServer.revokeAccessTokens();
  test.world.clock.jump(60_000);
  for (const { content } of await Promise.all(Array.from({ length: 20 }, whoami)))
    expect(content).toEqual([{ type: 'text', text: 'alice' }]);
  expect(test.asked.slice(1)).toEqual(['POST /v1/connections/demo/token']);
  await client.close();
});

function formData(): FormData {
  const form = new FormData();
  form.set('sent', 'again');
  return form;
}
