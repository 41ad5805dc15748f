import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { authorization } from '../support/gateway-clients.ts';
import { toolCall, toolResult } from '../support/gateway-socket.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { type CallAnswer, call } from '../support/http-call.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const CHALLENGE = { 'www-authenticate': 'Bearer error="invalid_token"' };
const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' };

describe('a credential that the server refuses', () => {
  let given: GatewayWorld;
  let key: string;
  beforeEach(async () => {
    given = await startGatewayWorld();
    key = await given.addAgent('docs-bot');
    given.upstream.answer((_call, response) => response.writeHead(200, JSON_TYPE).end(toolResult()));
    // A token that came just now is not renewed.
    given.world.clock.jump(60_000);
  });
  afterEach(() => given.close());

  const refreshes = () => given.world.authorizationServer.refreshes();
  const send = (body: object = toolCall(), connection = 'demo') =>
    call(`${given.url}/mcp/${connection}`, { method: 'POST', headers: authorization(key), body });

  /** Answers as the server in front of which nobody knows who it is. */
  function answerAll(status: number, headers: Record<string, string> = {}): void {
    given.upstream.guard(false);
    given.upstream.answer((_call, response) => response.writeHead(status, headers).end('refused'));
  }

  function expectNotRelayed({ headers, text, status }: CallAnswer): void {
    expect(status).not.toBe(401);
    expect(headers['www-authenticate']).toBeUndefined();
    expect(text).not.toContain('invalid_token');
  }

  it('is renewed once, and the call sent once more', async () => {
    given.world.authorizationServer.revokeAccessTokens();
    const answer = await send();
    expect([answer.status, answer.text]).toEqual([200, toolResult()]);
    expect([refreshes(), given.upstream.all.length, given.upstream.calls.length]).toEqual([1, 2, 1]);
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'ok', status: 200 });
  });

  it('is renewed once for all who had it', async () => {
    given.world.authorizationServer.revokeAccessTokens();
    const answers = await Promise.all(Array.from({ length: 10 }, () => send()));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(refreshes()).toBe(1);
  });

  it('is renewed but the call not sent again when nobody knows whether it ran', async () => {
    answerAll(401);
    const answer = await send();
    expectNotRelayed(answer);
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('the call may have run');
    expect([refreshes(), given.upstream.all.length]).toEqual([1, 1]);
  });

  it('is renewed and the call sent again without a challenge when asking twice is asking once', async () => {
    answerAll(401);
    const answer = await send(LIST);
    expect([refreshes(), given.upstream.all.length]).toEqual([1, 2]);
    expect(answer.status).toBe(409);
  });

  it('wants an operator when its successor is refused too', async () => {
    answerAll(401, CHALLENGE);
    const answer = await send();
    expectNotRelayed(answer);
    expect(answer.status).toBe(409);
    expect(answer.json).toMatchObject({
      id: 1,
      error: { data: { code: 'login_required', next_step: 'broker login demo' } },
    });
    expect([refreshes(), given.upstream.all.length]).toEqual([1, 2]);
    expect((await given.calls(1))[0]).toMatchObject({ outcome: 'login_required', status: 401 });
  });

  it('is not renewed in a circle: the agent is told to wait, and not that it asks too often', async () => {
    answerAll(401, CHALLENGE);
    await send();
    const answer = await send();
    expectNotRelayed(answer);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.json).toMatchObject({ error: { data: { code: 'upstream_unavailable' } } });
    expect(refreshes()).toBe(1);
  });

  it('wants an operator when the login has ended', async () => {
    await given.world.authorizationServer.revokeGrantsOf('alice');
    given.world.authorizationServer.revokeAccessTokens();
    const doubted = await send();
    expectNotRelayed(doubted);
    expect([doubted.status, doubted.headers['retry-after']]).toEqual([503, '60']);
    // A provider may be wrong once.
    given.world.clock.jump(61_000);
    const answer = await send();
    expectNotRelayed(answer);
    expect([answer.status, answer.json]).toMatchObject([
      409,
      { error: { data: { code: 'login_required' } } },
    ]);
  });

  it('is told to be out of order while the provider is, and used as long as it lives', async () => {
    given.world.authorizationServer.fail(({ grantType }) => (grantType ? { status: 503 } : undefined));
    given.world.clock.jump(3_400_000);
    expect((await send()).status).toBe(200);
    given.world.authorizationServer.revokeAccessTokens();
    const answer = await send();
    expectNotRelayed(answer);
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBeDefined();
  });

  it.each([
    ['bearer', { kind: 'bearer', token: new Secret('fake-entered-token') }],
    [
      'headers',
      {
        kind: 'headers',
        headers: [
          { header: { name: 'X-Api-Key', template: '{{token}}' }, value: new Secret('fake-entered-key') },
        ],
      },
    ],
    ['none', { kind: 'none' }],
  ])('of the kind %s wants an operator at once', async (kind, credential) => {
    await given.broker().addStatic({
      name: `my-${kind}`,
      url: given.upstream.url.replace('/mcp', `/mcp?${kind}`),
      credential: credential as never,
    });
    key = await given.addAgent('static-bot', { allow: [`my-${kind}`] });
    answerAll(401, CHALLENGE);
    const answer = await send(toolCall(), `my-${kind}`);
    expectNotRelayed(answer);
    expect(answer.status).toBe(409);
    expect(given.upstream.all.length).toBe(1);
  });

  it('with too few rights leads to a message that says how to get more', async () => {
    answerAll(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="mcp:all mcp:admin"' });
    const answer = await send();
    expectNotRelayed(answer);
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ error: { data: { code: 'forbidden' } } });
    expect(answer.text).toContain('mcp:admin');
  });

  it('for another reason is the server\u2019s own affair', async () => {
    answerAll(403, { 'content-type': 'text/plain', 'set-cookie': 'a=b' });
    const answer = await send();
    expect([answer.status, answer.text]).toEqual([403, 'refused']);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  it.each([
    ['JSON', JSON_TYPE, (text: string) => text],
    ['an event', { 'content-type': 'text/event-stream' }, (text: string) => `data: ${text}\n\n`],
  ])('inside an answer in %s is renewed, and the model asked to call again', async (_what, type, wrap) => {
    given.sql(
      `UPDATE servers SET settings = json_set(settings, '$.endedLoginTexts', json('["login is over"]'))`,
    );
    const failed = { content: [{ type: 'text', text: 'oh, the login is over' }], isError: true };
    given.upstream.answer((_call, response) =>
      response.writeHead(200, type).end(wrap(JSON.stringify({ jsonrpc: '2.0', id: 1, result: failed }))),
    );
    const answer = await send();
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('was renewed a moment ago; call again');
    expect(refreshes()).toBe(1);
    const again = await send();
    expect(again.text).toContain('upstream_unavailable');
    expect(refreshes()).toBe(1);
    expect(await given.calls(2)).toMatchObject([{ outcome: 'login_ended' }, { outcome: 'login_ended' }]);
  });
});
