/** Headers and addresses that want another credential, or another server. */
import { describe, expect, it } from 'vitest';
import {
  type Attack,
  type AttackWorld,
  expectNothingLeaked,
  JSON_TYPE,
  message,
  SECRETS,
  shareAttackWorld,
  toolCall,
} from '../support/attack-world.ts';

let world: AttackWorld;
shareAttackWorld((given) => {
  world = given;
});

const PING = message('ping');
const DELETE = toolCall('delete_document');
const bearer = (token: string): [string, string] => ['Authorization', `Bearer ${token}`];

describe('an address that leads elsewhere is not followed', () => {
  it.each([
    ['to a connection the agent may not see', '/mcp/other'],
    ['by a detour', '/mcp/coda/../other'],
    ['by a detour with dots escaped', '/mcp/coda/%2e%2e/other'],
    ['by a detour with all escaped', '/mcp/coda%2f..%2fother'],
    ['by a detour with backslashes', '/mcp/coda\\..\\other'],
    ['with two slashes', '/mcp//other'],
    ['with more path behind it', '/mcp/coda/other'],
    ['with a connection behind a semicolon', '/mcp/other;/coda'],
    ['with an escaped escape', '/mcp/%256fther'],
    ['with NUL', '/mcp/other%00coda'],
    ['with an account', '/mcp/coda@other'],
    ['with a URL as the name', '/mcp/http:%2f%2f127.0.0.1%2fmcp'],
    ['with an escape that is none', '/mcp/%zz'],
  ])('%s', async (_how, target) => {
    const reply = await world.attack({ target, body: DELETE });
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(reply.status).toBeLessThan(500);
    expect(world.coda.requests).toEqual([]);
    expectNothingLeaked(world, reply);
  });

  it.each([
    ['in the query', (port: number) => `/mcp/coda?url=http://127.0.0.1:${port}/mcp&connection=other`],
    ['as the host of the request line', (port: number) => `http://127.0.0.1:${port}/mcp/coda`],
  ])('%s', async (_how, target) => {
    const reply = await world.attack({ target: target(world.other.port), body: PING });
    expectNothingLeaked(world, reply);
  });

  it.each([
    ['Host', 'attacker.example'],
    ['Host', '127.0.0.1:1'],
    ['Host', ''],
    ['Origin', 'https://attacker.example'],
    ['Origin', 'null'],
  ])('by %s: %s', async (name, value) => {
    const reply = await world.attack({ headers: [[name, value]], body: PING });
    expect([400, 403]).toContain(reply.status);
    expect(world.coda.requests).toEqual([]);
    expectNothingLeaked(world, reply);
  });
});

describe('a request whose key is not sure is refused', () => {
  it.each<[string, (key: string) => Attack]>([
    ['without one', () => ({ headers: [JSON_TYPE] })],
    ['of nobody', () => ({ headers: [JSON_TYPE, bearer('mtb_nobody')] })],
    ['with the credential of the server', () => ({ headers: [JSON_TYPE, bearer(SECRETS.coda)] })],
    ['as basic', (key) => ({ headers: [JSON_TYPE, ['Authorization', `Basic ${btoa(`denied:${key}`)}`]] })],
    ['two in one', (key) => ({ headers: [JSON_TYPE, ['Authorization', `Bearer x, Bearer ${key}`]] })],
    ['in the query', (key) => ({ headers: [JSON_TYPE], target: `/mcp/coda?access_token=${key}` })],
    ['in a cookie', (key) => ({ headers: [JSON_TYPE, ['Cookie', `key=${key}`]] })],
    ['for a proxy', (key) => ({ headers: [JSON_TYPE, ['Proxy-Authorization', `Bearer ${key}`]] })],
  ])('%s', async (_which, call) => {
    const reply = await world.attack({ bare: true, body: PING, ...call(world.keys.denied) });
    expect(reply.status).toBe(401);
    expect(world.coda.requests).toEqual([]);
    expectNothingLeaked(world, reply);
  });
});

describe('of the headers of an agent the server is shown none', () => {
  it.each<[string, [string, string][]]>([
    ['second key', [bearer('of-somebody-else')]],
    ['key for a proxy', [['Proxy-Authorization', 'Bearer of-somebody-else']]],
    ['key of another kind', [['X-Api-Key', 'of-somebody-else']]],
    ['cookie', [['Cookie', 'session=of-somebody-else']]],
    [
      'address it claims to have',
      [
        ['X-Forwarded-For', 'of-somebody-else'],
        ['Forwarded', 'for=of-somebody-else'],
      ],
    ],
    [
      'host it claims to want',
      [
        ['X-Forwarded-Host', 'of-somebody-else'],
        ['X-Original-URL', '/of-somebody-else'],
      ],
    ],
    ['other method', [['X-HTTP-Method-Override', 'of-somebody-else']]],
    [
      'key in other letters',
      [
        ['Mcp_Session_Id', 'of-somebody-else'],
        ['AUTHORIZATION', 'Bearer of-somebody-else'],
      ],
    ],
    ['encoding it would like', [['Accept-Encoding', 'of-somebody-else']]],
    ['name of a program', [['User-Agent', 'of-somebody-else']]],
    ['upgrade', [['Upgrade', 'of-somebody-else']]],
  ])('%s', async (_what, headers) => {
    const reply = await world.attack({ headers, body: PING });
    expect(reply.status).toBe(200);
    const [seen] = world.coda.requests;
    expect(JSON.stringify(seen?.headers)).not.toContain('of-somebody-else');
    expect(seen?.headers['accept-encoding']).toBe('identity');
    expectNothingLeaked(world, reply);
  });

  it('and no order to leave the credential out', async () => {
    const headers: [string, string][] = [['Connection', 'close, authorization']];
    expectNothingLeaked(world, await world.attack({ headers, body: PING }));
    expect(world.coda.requests).toHaveLength(1);
  });

  it('and no key of its own', async () => {
    await world.attack({ body: PING });
    expect(JSON.stringify(world.coda.requests)).not.toContain(world.keys.denied);
  });
});

describe('a server that shows its credential does not show it to the agent', () => {
  const shown = SECRETS.coda;
  it.each<[string, number, [string, string][]]>([
    ['as it was sent', 200, [['Authorization', `Bearer ${shown}`]]],
    ['in a cookie', 200, [['Set-Cookie', `token=${shown}`]]],
    ['in a header for finding faults', 200, [['X-Debug', shown]]],
    ['in a header that sounds like MCP', 200, [['Mcp-Debug', shown]]],
    ['as the id of a session', 200, [['Mcp-Session-Id', shown]]],
    ['in the id of a session', 200, [['Mcp-Session-Id', `session-${shown}-1`]]],
    ['in the type of its answer', 200, [['Content-Type', `application/json; token=${shown}`]]],
    ['in its challenge', 401, [['WWW-Authenticate', `Bearer error="invalid_token", token="${shown}"`]]],
    ['in a refusal', 403, [['WWW-Authenticate', `Bearer token="${shown}"`]]],
    ['in the way it redirects to', 307, [['Location', `http://127.0.0.1:1/mcp?token=${shown}`]]],
    [
      'in the place a document is at',
      200,
      [
        ['Content-Location', `/mcp?token=${shown}`],
        ['Link', `<?${shown}>`],
      ],
    ],
    ['when it is out of order', 503, [['X-Token', shown]]],
  ])('%s', async (_how, status, headers) => {
    world.coda.answerWith((_request, response) => {
      response.writeHead(status, headers.flat());
      response.end(status < 300 || status === 403 ? '{"jsonrpc":"2.0","id":1,"result":{}}' : shown);
    });
    const reply = await world.attack({ body: PING });
    expect(world.coda.requests.length).toBeGreaterThan(0);
    expectNothingLeaked(world, reply);
  });
});
