/**
 * A daemon with connections of every kind, asked well and badly on every operation. `TestDaemon.call` holds each answer
 * against the document; so do all other tests that use it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Program } from '../../src/core/program.ts';
import { Secret } from '../../src/secret.ts';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';
import { type CallAnswer, type CallOptions, call } from '../support/http-call.ts';
import { FOREIGN_HOST, faultsAt, OPERATIONS } from '../support/openapi.ts';
import { basic, FORM, GRANT } from '../support/token-endpoint.ts';

let test: TestDaemon;
let everything: Record<string, string>;
let plain: Record<string, string>;
let adminKey: string;

shareDaemon(
  (daemon) => {
    test = daemon;
  },
  {},
  {},
  // Wrong keys are sent for each operation.
  { authFailures: null },
);

/** Never started. */
const PROGRAM: Program = {
  ...{ command: process.execPath, args: ['server.js'], cwd: '/', env: {} },
  ...{ processes: 'session', idleEndMs: 60_000 },
};

const KINDS = ['demo', 'bearer', 'headers', 'none', 'program', 'internal@alice'];

beforeAll(async () => {
  const { broker } = test;
  const url = 'http://127.0.0.1:9/mcp';
  const value = new Secret('fake-key');
  await broker.addStatic({
    name: 'bearer',
    url,
    credential: { kind: 'bearer', token: new Secret('fake-pat') },
  });
  const headers = [{ header: { name: 'X-Api-Key', template: '{{token}}' }, value }];
  await broker.addStatic({ name: 'headers', url, credential: { kind: 'headers', headers } });
  await broker.addStatic({ name: 'none', url, credential: { kind: 'none' } });
  await broker.addProgram({ name: 'program', program: PROGRAM });
  await broker.addIdentity({ name: 'internal', url: `${url}/internal`, source: 'demo', mode: 'forward' });
  adminKey = await test.addAgent({ name: 'host', allow: ['*', '*@*'], admin: true });
  everything = { authorization: `Bearer ${adminKey}` };
  plain = { authorization: `Bearer ${await test.addAgent({ name: 'plain', allow: ['*', '*@*'] })}` };
});

/** Operations that were seen to answer as they should when all is well. */
const well = new Set<string>();

const ask = async (title: string, path: string, options: CallOptions = {}): Promise<CallAnswer> => {
  const [method = ''] = title.split(' ');
  const answer = await test.call(path, {
    method,
    ...options,
    headers: { ...everything, ...options.headers },
  });
  if (answer.status < 300) well.add(title);
  return answer;
};

const TOKEN = '/v1/connections/{name}/token';

describe.each(KINDS)('a connection such as %s', (name) => {
  const of = (title: string, options?: CallOptions) =>
    ask(title, (title.split(' ')[1] as string).replace('{name}', name), options);

  it('is shown, checked and handed out, or refused, as described', async () => {
    const { json } = await of('GET /v1/connections/{name}');
    expect(json.name).toBe(name);
    expect((await of('POST /v1/connections/{name}/check')).status).toBe(200);
    const handedOut = [await of(`GET ${TOKEN}`), await of('GET /v1/connections/{name}/headers')];
    const expected = { headers: [400, 200], none: [400, 200], program: [400, 400] }[name] ?? [200, 200];
    expect(handedOut.map(({ status }) => status)).toEqual(expected);
    expect((await of(`POST ${TOKEN}`, { body: { min_ttl: 60 } })).status).toBe(expected[0]);
    const body = { rejected_generation: json.generation };
    expect([400, 401, 409, 429, 503]).toContain((await of(`POST ${TOKEN}`, { body })).status);
    const refresh = await of('POST /v1/connections/{name}/check', { body: { refresh: true } });
    expect([200, 503]).toContain(refresh.status);
  });
});

describe('an operation', () => {
  const there = OPERATIONS;
  const placeOf = (path: string, name = 'nothing') => path.replace(/\{\w+\}/, name);

  it.each(there)('answers other hosts and web pages as described: $title', async ({ method, path }) => {
    for (const headers of [{ host: FOREIGN_HOST }, { origin: 'https://evil.example.com' }])
      expect((await test.call(placeOf(path), { method, headers })).status).toBe(403);
  });

  it.each(there.filter(({ operation }) => operation.security.some((each) => 'agentKey' in each)))(
    'answers as described without a key, over the rate, and to names that are none: $title',
    async ({ method, path, operation }) => {
      for (const authorization of ['', 'Bearer mtb_wrong'])
        expect((await test.call(placeOf(path), { method, headers: { authorization } })).status).toBe(401);
      const name = `slow-${operation.operationId.toLowerCase()}`;
      const key = await test.addAgent({ name, allow: ['*'], admin: true, rate: { requests: 1, per: 'h' } });
      const headers = { authorization: `Bearer ${key}` };
      await test.call('/v1/connections', { headers });
      expect((await test.call(placeOf(path), { method, headers })).status).toBe(429);
      if (!path.includes('{')) return;
      expect((await ask(`${method} ${path}`, placeOf(path, '%zz'))).status).toBe(400);
      expect([400, 404, 415]).toContain((await ask(`${method} ${path}`, placeOf(path))).status);
    },
  );

  it.each(there.filter(({ operation }) => operation.requestBody))(
    'answers bodies that are none as described: $title',
    async ({ title, path }) => {
      const place = placeOf(path, 'demo');
      for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain'])
        for (const body of ['{', '[]', '{"what":1}', 'x'.repeat(20_000)]) {
          const { status } = await ask(title, place, { body, headers: { 'content-type': type } });
          expect([400, 401, 413, 415]).toContain(status);
        }
    },
  );

  it('for admins alone answers others as described', async () => {
    for (const [method, path] of [
      ['DELETE', '/v1/connections/demo'],
      ['GET', '/v1/logins'],
      ['GET', '/v1/logins/any'],
      ['DELETE', '/v1/logins/any'],
    ] as const)
      expect((await test.call(path, { method, headers: plain })).status).toBe(403);
    const begin = { method: 'POST', headers: plain, body: { server: 'demo' } };
    expect((await test.call('/v1/logins', begin)).status).toBe(403);
  });
});

describe('a login', () => {
  it('is begun, listed, shown, cancelled and finished as described', async () => {
    const begin = () => ask('POST /v1/logins', '/v1/logins', { body: { server: 'demo', account: 'carol' } });
    const [one, other] = [await begin(), await begin()];
    expect((await ask('GET /v1/logins', '/v1/logins')).json.logins).toHaveLength(2);
    expect((await ask('DELETE /v1/logins/{id}', `/v1/logins/${other.json.id}`)).status).toBe(204);
    const redirect = await test.world.authorizationServer.approve(String(one.json.authorization_url), {
      account: 'carol',
    });
    const back = redirect.slice(test.url.length);
    expect((await ask('GET /oauth/callback', back)).status).toBe(200);
    expect((await ask('GET /oauth/callback', back)).status).toBe(400);
    expect((await ask('GET /v1/logins/{id}', `/v1/logins/${one.json.id}`)).json.status).toBe('connected');
    const path = '/v1/connections/demo@carol';
    expect((await ask('DELETE /v1/connections/{name}', path)).json.revocation).toBe('revoked');
  });
});

describe('the gateway', () => {
  const MCP = { accept: 'application/json, text/event-stream' };
  const initialize = {
    ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'by-hand', version: '1' },
    },
  };
  const post = (body: unknown, headers: Record<string, string> = {}, name = 'demo') =>
    ask('POST /mcp/{name}', `/mcp/${name}`, { body: body as object, headers: { ...MCP, ...headers } });

  it('relays messages, streams and ends of sessions as described', async () => {
    const { status, headers } = await post(initialize);
    expect(status).toBe(200);
    const session = { 'mcp-session-id': String(headers['mcp-session-id']) };
    expect((await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, session)).status).toBe(202);
    expect((await post({ jsonrpc: '2.0', id: 2, method: 'tools/list' }, session)).status).toBe(200);
    expect((await ask('DELETE /mcp/{name}', '/mcp/demo', { headers: { ...MCP, ...session } })).status).toBe(
      200,
    );
  });

  it('refuses in one form', async () => {
    const answers = [
      await post({ jsonrpc: '2.0', id: 1 }),
      await post('{"a":1,"a":2}', { 'content-type': 'application/json' }),
      await post('{}', { 'content-type': 'text/plain' }),
      await post(initialize, { 'mcp-method': 'tools/call' }),
      await post(initialize, { 'mcp-session-id': 'another' }),
      await post(initialize, {}, 'nothing'),
      await post(initialize, {}, 'bearer'),
      await ask('GET /mcp/{name}', '/mcp/demo', { headers: { 'last-event-id': '1' } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 415, 400, 404, 404, 503, 400]);
    for (const { json } of answers) expect(faultsAt('/components/schemas/GatewayError', json)).toEqual([]);
  });
});

describe('the token endpoint', () => {
  const form = (body: string, headers: Record<string, string> = basic('host', adminKey)) =>
    ask('POST /oauth/token', '/oauth/token', { body, headers: { ...FORM, ...headers } });

  it('grants and refuses as described', async () => {
    expect((await form(`${GRANT}&scope=connection:demo`)).status).toBe(200);
    expect((await form(GRANT)).json.error).toBe('invalid_target');
    expect((await form('grant_type=password')).json.error).toBe('unsupported_grant_type');
    expect((await form(GRANT, basic('host', 'mtb_wrong'))).json.error).toBe('invalid_client');
    const inBody = await call(`${test.url}/oauth/token`, {
      ...{ method: 'POST', headers: FORM },
      body: `${GRANT}&scope=connection:bearer&client_id=host&client_secret=${adminKey}`,
    });
    expect(inBody.status).toBe(200);
  });
});

describe('a connection that stands for a login of others', () => {
  it('cannot be given up alone', async () => {
    const { status, json } = await ask('DELETE /v1/connections/{name}', '/v1/connections/internal@alice');
    expect([status, json.code, json.next_step]).toEqual([
      400,
      'bad_request',
      expect.stringContaining('broker logout demo@alice'),
    ]);
  });
});

describe('the numbers', () => {
  it('are told as described', async () => {
    expect((await ask('GET /metrics', '/metrics')).status).toBe(200);
  });
});

describe('whatever is asked for without a key', () => {
  it.each([
    '/healthz',
    '/readyz',
    '/openapi.json',
    '/.well-known/oauth-authorization-server/oauth',
    '/v1/connections',
  ])('is answered as described: %s', async (path) => {
    expect((await ask(`GET ${path}`, path)).status).toBe(200);
  });
});

afterAll(() => {
  const missed = OPERATIONS.map(({ title }) => title).filter((each) => !well.has(each));
  // The stream of the gateway has no end; `test/mcp` holds it open.
  expect(missed).toEqual(['GET /mcp/{name}']);
});
