/** Ways around the gateway, into what is another agent's, and past an operator who changed his mind. */
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

const begin = async (key: keyof AttackWorld['keys']) => {
  const { text } = await world.attack({ body: message('initialize', {}) }, key);
  const id = /^mcp-session-id: (.*)$/im.exec(text)?.[1] as string;
  world.coda.reset();
  return id;
};

describe('an agent of the gateway gets no credential at any other door', () => {
  it.each<[string, Attack]>([
    ['the token', { method: 'GET', target: '/v1/connections/coda/token' }],
    ['the token, refreshed', { target: '/v1/connections/coda/token', body: '{"min_ttl":60}' }],
    ['the headers', { method: 'GET', target: '/v1/connections/coda/headers' }],
  ])('%s', async (_which, call) => {
    const reply = await world.attack(call);
    expect(reply.status).toBe(403);
    expect(reply.text).not.toContain(SECRETS.coda);
  });

  it.each(['/v1/connections', '/v1/connections/coda', '/metrics', '/v1/logins', '/v1/agents', '/v1/audit'])(
    'nor a look at one: %s',
    async (target) => {
      expectNothingLeaked(world, await world.attack({ method: 'GET', target }));
    },
  );

  it.each([
    ['in the body', false],
    ['as basic', true],
  ])('nor as an OAuth client, with its key %s', async (_how, isBasic) => {
    const key = world.keys.denied;
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'connection:coda',
      ...(isBasic ? {} : { client_id: 'denied', client_secret: key }),
    }).toString();
    const reply = await world.attack({
      bare: true,
      target: '/oauth/token',
      headers: [
        ['Content-Type', 'application/x-www-form-urlencoded'],
        ...(isBasic ? [['Authorization', `Basic ${btoa(`denied:${key}`)}`] as [string, string]] : []),
      ],
      body,
    });
    // As RFC 6749 §5.2 wants it: 400, and the reason.
    expect([reply.status, JSON.parse(reply.body).error]).toEqual([400, 'invalid_target']);
    expect(reply.text).not.toContain(SECRETS.coda);
  });
});

describe('the session of another agent is none', () => {
  it.each<[string, (id: string) => Attack]>([
    ['to call in it', (id) => ({ body: toolCall('read'), headers: [['Mcp-Session-Id', id]] })],
    ['to listen to it', (id) => ({ method: 'GET', headers: [['Mcp-Session-Id', id]] })],
    [
      'to hear again what it heard',
      (id) => ({
        method: 'GET',
        headers: [
          ['Mcp-Session-Id', id],
          ['Last-Event-ID', '1'],
        ],
      }),
    ],
    ['to end it', (id) => ({ method: 'DELETE', headers: [['Mcp-Session-Id', id]] })],
    [
      'to answer for it',
      (id) => ({ body: '{"jsonrpc":"2.0","id":1,"result":{}}', headers: [['Mcp-Session-Id', id]] }),
    ],
    [
      'after one that is none',
      (id) => ({
        body: toolCall('read'),
        headers: [
          ['Mcp-Session-Id', 'x'],
          ['Mcp-Session-Id', id],
        ],
      }),
    ],
    [
      'twice',
      (id) => ({
        body: toolCall('read'),
        headers: [
          ['Mcp-Session-Id', id],
          ['MCP-SESSION-ID', id],
        ],
      }),
    ],
    [
      'in other letters',
      (id) => ({ body: toolCall('read'), headers: [['Mcp-Session-Id', id.toUpperCase()]] }),
    ],
    ['with a comma', (id) => ({ body: toolCall('read'), headers: [['Mcp-Session-Id', `${id},`]] })],
  ])('%s', async (_what, call) => {
    const reply = await world.attack(call(await begin('friend')), 'free');
    expect(reply.status).toBe(404);
    expect(reply.text).toContain('session_unknown');
    expect(world.coda.requests).toEqual([]);
  });

  it('nor after one of its own', async () => {
    const [own, foreign] = [await begin('free'), await begin('friend')];
    const headers: [string, string][] = [
      ['Mcp-Session-Id', own],
      ['Mcp-Session-Id', foreign],
    ];
    expect((await world.attack({ body: toolCall('read'), headers }, 'free')).status).toBe(404);
    expect(world.coda.requests).toEqual([]);
  });

  it('nor is what it heard without saying whose it was', async () => {
    const reply = await world.attack({ method: 'GET', headers: [['Last-Event-ID', '1']] }, 'free');
    expect(reply.status).toBe(400);
    expect(world.coda.requests).toEqual([]);
  });

  it('nor does it become one when a server gives out its id again', async () => {
    const foreign = await begin('friend');
    world.coda.answerWith((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': foreign });
      response.end('{"jsonrpc":"2.0","id":1,"result":{}}');
    });
    const reply = await world.attack({ body: message('initialize', {}) }, 'free');
    expect(reply.status).toBe(503);
    expect(reply.text).not.toContain(foreign);
  });
});

describe('in the middle of a session', () => {
  const add = async (name: string) => {
    const { key } = await world.broker.agents.add({
      ...{ name, allow: ['coda'], modes: ['gateway'], admin: false, expiresAt: null },
    });
    const headers: [string, string][] = [JSON_TYPE, ['Authorization', `Bearer ${key.reveal()}`]];
    const { text } = await world.attack({ bare: true, headers, body: message('initialize', {}) });
    const session: [string, string] = [
      'Mcp-Session-Id',
      /^mcp-session-id: (.*)$/im.exec(text)?.[1] as string,
    ];
    return (body: string) => world.attack({ bare: true, headers: [...headers, session], body });
  };

  it('an agent that is cut off calls nothing more', async () => {
    const send = await add('revoked');
    expect((await send(toolCall('read_document'))).body).toContain('done');
    await world.broker.agents.revoke('revoked');
    world.coda.reset();
    expect((await send(toolCall('read_document'))).status).toBe(401);
    expect(world.coda.requests).toEqual([]);
  });

  it('a rule that is new counts at the next call', async () => {
    const send = await add('restrained');
    expect((await send(toolCall('delete_document'))).body).toContain('done');
    await world.broker.agents.set('restrained', { toolDeny: ['delete_*'] });
    world.coda.reset();
    expect((await send(toolCall('delete_document'))).body).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });

  it('a connection that is taken away is gone at the next call', async () => {
    const send = await add('moved');
    await world.broker.agents.set('moved', { allow: ['other'] });
    world.coda.reset();
    expect((await send(toolCall('read_document'))).status).toBe(404);
    expect(world.coda.requests).toEqual([]);
  });

  it('the mode that is taken away too', async () => {
    const send = await add('handed');
    await world.broker.agents.set('handed', { modes: ['token'] });
    world.coda.reset();
    expect((await send(toolCall('read_document'))).status).toBe(403);
    expect(world.coda.requests).toEqual([]);
  });
});
