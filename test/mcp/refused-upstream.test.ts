import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorization } from '../support/gateway-clients.ts';
import { rawAgent, toolCall, toolResult } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { call } from '../support/http-call.ts';
import { startRawServer } from '../support/raw-server.ts';
import { startSelfSignedServer } from '../support/self-signed.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const EVENTS = { 'content-type': 'text/event-stream' };
const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' };

describe('a server that is in trouble', () => {
  let given: GatewayWorld;
  let key: string;
  beforeEach(async () => {
    given = await startGatewayWorld();
    key = await given.addAgent('docs-bot');
  });
  afterEach(() => given.close());

  const send = (body: object = toolCall(), connection = 'demo') =>
    call(`${given.url}/mcp/${connection}`, { method: 'POST', headers: authorization(key), body });
  const well = (response: ServerResponse) => response.writeHead(200, JSON_TYPE).end(toolResult());
  const unavailable = { error: { data: { code: 'upstream_unavailable' } } };

  it.each([404, 400, 405, 406, 429, 500, 501])('has its own say with HTTP %i', async (status) => {
    given.upstream.answer((_call, response) =>
      response.writeHead(status, { 'content-type': 'text/plain', 'retry-after': '7' }).end('its words'),
    );
    const answer = await send();
    expect([answer.status, answer.text, answer.headers['retry-after']]).toEqual([status, 'its words', '7']);
    expect(given.upstream.calls.length).toBe(1);
  });

  it.each([502, 503, 504])('is told to be out of order for HTTP %i', async (status) => {
    given.upstream.answer((_call, response) =>
      response.writeHead(status, { 'retry-after': '7' }).end('<html>a proxy</html>'),
    );
    const answer = await send();
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '7']);
    expect(answer.json).toMatchObject({ id: 1, ...unavailable });
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'upstream_unavailable', status });
  });

  it('cannot be reached, so the call surely did not run', async () => {
    await given.upstream.close();
    const answer = await send();
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5']);
    expect(answer.text).toContain('demo cannot be reached (ECONNREFUSED)');
    expect(answer.text).not.toContain('may have run');
  });

  it.each([
    ['a certificate nobody knows', (url: string) => url],
    ['no TLS at all', undefined],
  ])('has %s, so the call surely did not run', async (_what, _of) => {
    const tls = _of ? await startSelfSignedServer() : undefined;
    const plain = await startRawServer(() => ({ status: 200 }));
    const url = tls?.url ?? plain.url.replace('http:', 'https:');
    await given.broker().addStatic({ name: 'tls', url: `${url}/mcp`, credential: { kind: 'none' } });
    key = await given.addAgent('tls-bot', { allow: ['tls'] });
    const answer = await send(toolCall(), 'tls');
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('tls cannot be reached');
    expect(answer.text).not.toContain('may have run');
    await tls?.close();
    await plain.close();
  });

  it('resets the connection before it answers: a call is not sent again, a list is', async () => {
    given.upstream.answer(({ method }, response, request) => {
      const isAgain = given.upstream.calls.filter((each) => each.method === method).length > 1;
      if (isAgain) well(response);
      else request.socket.resetAndDestroy();
    });
    const called = await send();
    expect(called.status).toBe(503);
    expect(called.text).toContain('the call may have run');
    expect((await send(LIST)).status).toBe(200);
    expect(given.upstream.calls.map(({ method }) => method)).toEqual([
      'tools/call',
      'tools/list',
      'tools/list',
    ]);
  });

  it('resets a connection that was used before: a list is asked for on another', async () => {
    let isFirst = true;
    given.upstream.answer((_call, response, request) => {
      if (!isFirst && given.upstream.calls.length === 2) request.socket.resetAndDestroy();
      else well(response);
      isFirst = false;
    });
    expect((await send(LIST)).status).toBe(200);
    expect((await send(LIST)).status).toBe(200);
    const [first, second, third] = given.upstream.calls.map(({ socket }) => socket);
    expect([first === second, second === third]).toEqual([true, false]);
  });

  it('closes idle connections: the next call gets a new one', async () => {
    given.upstream.answer((_call, response) => well(response));
    expect((await send()).status).toBe(200);
    const closed = [...given.upstream.sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of given.upstream.sockets) socket.end();
    await Promise.all(closed);
    expect((await send()).status).toBe(200);
  });

  it.each([
    ['JSON of a known length', { ...JSON_TYPE, 'content-length': '1000' }],
    ['JSON in pieces', JSON_TYPE],
  ])('breaks off in the middle of %s: nobody takes the half for the whole', async (_what, headers) => {
    given.upstream.answer((_call, response, request) => {
      response.writeHead(200, headers).write('{"jsonrpc":"2.0",');
      setImmediate(() => request.socket.destroy());
    });
    await expect(send()).rejects.toThrow();
    expect((await given.calls(1))[0]).toMatchObject({ status: 200, bytes: 17 });
    expect((await given.calls(1))[0]?.outcome).not.toBe('ok');
  });

  it('breaks off in the middle of a stream: the model is told', async () => {
    given.upstream.answer((_call, response, request) => {
      response.writeHead(200, EVENTS).write('data: {"jsonrpc":"2.0",');
      setImmediate(() => request.socket.destroy());
    });
    const agent = await rawAgent(given.endpoint, key);
    agent.send(toolCall(8));
    const text = await agent.until('"error"');
    // The half event is ended first, so that the error is one of its own.
    expect(text).toMatch(/\n\n(.|\n|\r)*data: \{"jsonrpc":"2.0","id":8,"error"/);
    expect(text).toContain('broke off in the middle');
    agent.socket.destroy();
  });

  it.each([
    ['the same origin', (url: string) => url.replace('/mcp', '/other')],
    ['another origin', () => ''],
  ])('redirects to %s: the credential is not carried along', async (_what, to) => {
    const other = await startRawServer(() => ({ status: 200, body: {} }));
    const location = to(given.upstream.url) || `${other.url}/mcp?secret=1`;
    given.upstream.answer((_call, response) => response.writeHead(307, { location }).end());
    const answer = await send();
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject(unavailable);
    expect(answer.headers.location).toBeUndefined();
    expect(answer.text).not.toContain('secret');
    expect([other.requests.length, given.upstream.calls.length]).toEqual([0, 1]);
    await other.close();
  });

  it('packs its answers although it was asked not to: they are unpacked, and filtered', async () => {
    const bot = await given.addAgent('deny-bot', { toolDeny: ['delete_*'] });
    const tools = [{ name: 'read_doc' }, { name: 'delete_document' }];
    const packed = gzipSync(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } }));
    given.upstream.answer((_call, response) =>
      response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(packed),
    );
    key = bot;
    expect((await send(LIST)).json).toMatchObject({ result: { tools: [{ name: 'read_doc' }] } });
  });

  it('packs its answers in a way nobody knows', async () => {
    given.upstream.answer((_call, response) =>
      response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'zorp' }).end('?'),
    );
    const answer = await send();
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('zorp');
  });

  it.each([
    ['in a type that is not its own', { 'content-type': 'text/plain' }, ''],
    ['after a byte order mark', JSON_TYPE, '\uFEFF'],
    ['in an event after a byte order mark', EVENTS, '\uFEFFdata: '],
  ])('sends a list %s: it is filtered', async (_how, headers, before) => {
    key = await given.addAgent('deny-bot', { toolDeny: ['delete_*'] });
    const tools = [{ name: 'read_doc' }, { name: 'delete_document' }];
    given.upstream.answer((_call, response) =>
      response
        .writeHead(200, headers)
        .end(`${before}${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } })}\n\n`),
    );
    const answer = await send(LIST);
    expect(answer.text).toContain('read_doc');
    expect(answer.text).not.toContain('delete_document');
  });

  it('sends something that is no JSON in place of a list: it stays here', async () => {
    key = await given.addAgent('deny-bot', { toolDeny: ['delete_*'] });
    given.upstream.answer((_call, response) =>
      response.writeHead(200, JSON_TYPE).end("{'tools': [{'name': 'delete_document'}]}"),
    );
    const answer = await send(LIST);
    expect(answer.status).toBe(503);
    expect(answer.text).not.toContain('delete_document');
  });
});
