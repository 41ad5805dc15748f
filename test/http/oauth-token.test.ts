import { describe, expect, it } from 'vitest';
import { isRefresh } from '../support/gate.ts';
import type { CallAnswer } from '../support/http-call.ts';
import { basic, FORM, GRANT, openTokenEndpoint } from '../support/token-endpoint.ts';
import { auditTrail } from '../support/vault-file.ts';

const AN_HOUR_MS = 3_600_000;

describe('a granted token (RFC 6749 §5.1)', () => {
  const { daemon, post, expectRefusal } = openTokenEndpoint();

  it('has what is known, and is not to be stored', async () => {
    const { status, headers, json } = await post(GRANT);
    expect(status).toBe(200);
    expect(json).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'mcp:all',
    });
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect([headers['cache-control'], headers.pragma]).toEqual(['no-store', 'no-cache']);
    expect(await daemon().world.authorizationServer.tokenIsActive(String(json.access_token))).toMatchObject({
      active: true,
      aud: daemon().world.mcp.url,
    });
  });

  it('is the same within its life, with the seconds left, and a new one after it', async () => {
    const first = (await post(GRANT)).json;
    daemon().world.clock.jump(AN_HOUR_MS / 2);
    expect((await post(GRANT)).json).toEqual({ ...first, expires_in: 1800 });
    daemon().world.clock.jump(AN_HOUR_MS / 2);
    const { status, json } = await post(GRANT);
    expect(status).toBe(200);
    expect(json.access_token).not.toBe(first.access_token);
    expect(daemon().world.authorizationServer.requests.filter(isRefresh)).toHaveLength(1);
  });

  it('leaves out what is unknown', async () => {
    const body = { access_token: 'endless-token', token_type: 'Bearer' };
    daemon().world.authorizationServer.fail((request) =>
      isRefresh(request) ? { status: 200, body } : undefined,
    );
    daemon().world.clock.jump(AN_HOUR_MS);
    expect((await post(GRANT)).json).toEqual({ ...body, scope: 'mcp:all' });
  });

  it('is for the connection of the resource or the scope', async () => {
    const other = await daemon().addAgent({ name: 'alice-bot', allow: ['demo', 'demo@*'] });
    const ask = (more: string) => post(`${GRANT}${more}`, basic('alice-bot', other));
    const of = async (name: string) =>
      (await daemon().broker.token({ kind: 'operator' }, name)).accessToken.reveal();
    const resource = encodeURIComponent(daemon().world.mcp.url);
    for (const more of ['&scope=connection:demo%40alice', '&scope=mcp:all+connection:demo%2540alice'])
      expect((await ask(more)).json.access_token).toBe(await of('demo@alice'));
    const both = `&resource=${resource}&resource=${resource}&scope=connection:demo`;
    expect((await ask(both)).json.access_token).toBe(await of('demo'));
    const choice = await ask(`&resource=${resource}`);
    expectRefusal(choice, 400, 'invalid_target');
    expect(choice.json.error_description).toMatch(/connection:NAME with one of: demo \(\S+\), demo@alice /);
  });
});

describe('a client that is known (RFC 6749 §2.3.1)', () => {
  const { key, post, own } = openTokenEndpoint('shared');

  it.each<[string, () => Promise<CallAnswer>]>([
    ['Basic', () => post(GRANT)],
    [
      'Basic in another case',
      () => post(GRANT, { authorization: String(own().authorization).replace('Basic', 'BASIC') }),
    ],
    ['Basic, form-encoded', () => post(GRANT, basic(encoded('stock-bot'), encoded(key())))],
    ['Basic with client_id in the body too', () => post(`${GRANT}&client_id=stock-bot`)],
    ['the body', () => post(`${GRANT}&client_id=stock-bot&client_secret=${key()}`, {})],
    [
      'the body beside empty parameters',
      () => post(`${GRANT}&scope=&resource=&client_id=stock-bot&client_secret=${key()}`, {}),
    ],
    ['a charset', () => post(GRANT, { ...own(), 'content-type': `${FORM['content-type']}; charset=UTF-8` })],
  ])('gets a token by %s', async (_, ask) => {
    expect(await ask()).toMatchObject({ status: 200, json: { token_type: 'Bearer' } });
  });
});

describe('a client that is not known (RFC 6749 §5.2)', () => {
  const { daemon, key, post, expectRefusal } = openTokenEndpoint('shared');

  it.each<[string, () => Promise<CallAnswer>]>([
    ['no credentials', () => post(GRANT, {})],
    ['a wrong key', () => post(GRANT, basic('stock-bot', 'mtb_wrong'))],
    ['the name of another agent', () => post(GRANT, basic('docs-bot', key()))],
    ['an escape that is none', () => post(GRANT, basic('stock-bot', '%zz'))],
    ['no colon', () => post(GRANT, { authorization: 'Basic c3RvY2stYm90' })],
    ['no base64', () => post(GRANT, { authorization: 'Basic ???' })],
    ['a bearer', () => post(GRANT, { authorization: `Bearer ${key()}` })],
  ])('gets 401 and a Basic challenge: %s', async (_, ask) => {
    const answer = await ask();
    expectRefusal(answer, 401, 'invalid_client');
    expect(answer.headers['www-authenticate']).toBe('Basic realm="mcp-token-broker", charset="UTF-8"');
  });

  it.each([
    '&client_id=stock-bot&client_secret=mtb_wrong',
    '&client_id=stock-bot',
    '&client_secret=mtb_wrong',
  ])('gets 401 without a challenge when it asks in the body: %s', async (more) => {
    const answer = await post(`${GRANT}${more}`, {});
    expectRefusal(answer, 401, 'invalid_client');
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  });

  it('is answered alike with a key that is unknown, revoked or expired', async () => {
    const revoked = await daemon().addAgent({ name: 'revoked-bot' });
    const expired = await daemon().addAgent({
      name: 'expired-bot',
      expiresAt: daemon().world.clock.now() + 60_000,
    });
    expect((await post(GRANT, basic('revoked-bot', revoked))).status).toBe(200);
    expect((await post(GRANT, basic('expired-bot', expired))).status).toBe(200);
    await daemon().broker.agents.revoke('revoked-bot');
    daemon().world.clock.jump(60_000);
    const answers = await Promise.all([
      post(GRANT, basic('revoked-bot', revoked)),
      post(GRANT, basic('expired-bot', expired)),
      post(GRANT, basic('nobody', 'mtb_unknown')),
    ]);
    for (const answer of answers) expectRefusal(answer, 401, 'invalid_client');
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const trail = auditTrail(daemon().world.vaultPath);
    for (const [name, outcome] of [
      ['revoked-bot', 'revoked'],
      ['expired-bot', 'expired'],
    ])
      expect(trail).toContainEqual({ actor: `agent:${name}`, action: 'authenticate', outcome });
  });
});

/** As `oauth4webapi` does it: more is escaped than needs be. */
function encoded(text: string): string {
  return [...text]
    .map((each) => (/\W|_/.test(each) ? `%${each.charCodeAt(0).toString(16).toUpperCase()}` : each))
    .join('');
}
