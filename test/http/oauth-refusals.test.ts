import { DatabaseSync } from 'node:sqlite';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../support/fault.ts';
import { isRefresh } from '../support/gate.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { basic, FORM, GRANT, openTokenEndpoint } from '../support/token-endpoint.ts';
import { auditTrail } from '../support/vault-file.ts';

/** Credentials in the body as nobody can mean them. */
const TWICE = 'client_id=stock-bot&client_secret=mtb_a&client_secret=mtb_b';

const AN_HOUR_MS = 3_600_000;

describe('a request that cannot be (RFC 6749 §5.2)', () => {
  const { daemon, key, post, own, expectRefusal } = openTokenEndpoint('shared');

  it.each<[string, number, () => Promise<CallAnswer>]>([
    ['credentials twice', 400, () => post(`${GRANT}&client_id=stock-bot&client_secret=${key()}`)],
    ['another client_id in the body', 400, () => post(`${GRANT}&client_id=docs-bot`)],
    ['no grant_type', 400, () => post('scope=connection:demo')],
    ...['grant_type', 'scope', 'client_id', 'client_secret', 'anything'].map(
      (name): [string, number, () => Promise<CallAnswer>] => [
        `${name} twice (RFC 6749 §3.2)`,
        400,
        () => post(`${name === 'grant_type' ? '' : `${GRANT}&`}${name}=a&${name}=a`),
      ],
    ),
    ['client_secret twice, without a header', 400, () => post(`${GRANT}&${TWICE}`, {})],
    ['parameters in the URL', 400, () => post(GRANT, own(), '/oauth/token?scope=connection:demo')],
    ['an empty body', 400, () => post('')],
    ['JSON', 415, () => post('{}', { ...own(), 'content-type': 'application/json' })],
    [
      'an unknown charset',
      415,
      () =>
        post(GRANT, {
          ...own(),
          'content-type': `${FORM['content-type']}; charset=x-none`,
        }),
    ],
    ['too large a body', 413, () => post(`${GRANT}&x=${'x'.repeat(20_000)}`)],
    ['no body', 400, () => call(`${daemon().url}/oauth/token`, { method: 'POST', headers: own() })],
  ])('is invalid_request: %s', async (_, status, ask) => {
    expectRefusal(await ask(), status, 'invalid_request');
  });

  it.each([
    'refresh_token',
    'authorization_code',
    'password',
    'CLIENT_CREDENTIALS',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
  ])('is unsupported_grant_type: %s', async (grant) =>
    expectRefusal(await post(`grant_type=${grant}&refresh_token=x`), 400, 'unsupported_grant_type'),
  );

  it('is invalid_target for what is unknown or not this agent’s, alike, and on disk', async () => {
    const bodies = ['nothing', 'demo@alice'].map((name) => `${GRANT}&scope=connection:${name}`);
    const [unknown, hidden] = await Promise.all(bodies.map((body) => post(body)));
    for (const answer of [unknown, hidden]) expectRefusal(answer as CallAnswer, 400, 'invalid_target');
    expect(hidden?.text).toBe(unknown?.text.replace('nothing', 'demo@alice'));
    for (const resource of [
      'https://unknown.example.com',
      'no URL',
      `https://x.example.com/${'"\\ä'.repeat(9)}`,
    ])
      expectRefusal(await post(`${GRANT}&resource=${encodeURIComponent(resource)}`), 400, 'invalid_target');
    expectRefusal(
      await post(`${GRANT}&resource=https://a.example.com&resource=https://b.example.com`),
      400,
      'invalid_target',
    );
    const refused = auditTrail(daemon().world.vaultPath).filter(({ actor }) => actor === 'agent:stock-bot');
    expect(refused.map(({ outcome }) => outcome)).toEqual([...Array(5).fill('not_found'), 'bad_request']);
  });

  it('is invalid_target for an agent without the mode token', async () => {
    const gateway = await daemon().addAgent({ name: 'gateway-bot', modes: ['gateway'] });
    expectRefusal(await post(GRANT, basic('gateway-bot', gateway)), 400, 'invalid_target');
  });

  it('is refused to web pages and foreign hosts as everywhere', async () => {
    for (const headers of [{ origin: 'https://evil.example.com' }, { host: 'evil.example.com' }])
      expect((await post(GRANT, { ...own(), ...headers } as never)).status).toBe(403);
  });

  it('is told in the characters OAuth has for it, whatever a server calls itself', async () => {
    const file = new DatabaseSync(daemon().world.vaultPath);
    file.prepare('UPDATE servers SET resource = ?').run('https://größe.example.com/"x"\\y');
    file.close();
    const refused = await post(`${GRANT}&resource=https://unknown.example.com`);
    expectRefusal(refused, 400, 'invalid_target');
    expect(refused.json.error_description).toContain("demo (https://gr??e.example.com/'x'?y)");
  });
});

describe('a connection that cannot serve', () => {
  const { daemon, post, expectRefusal } = openTokenEndpoint();

  const answer = (fault: Fault) =>
    daemon().world.authorizationServer.fail((request) => (isRefresh(request) ? fault : undefined));

  beforeEach(() => daemon().world.clock.jump(AN_HOUR_MS));

  it.each([
    ['its client is gone', { status: 401, body: { error: 'invalid_client' } }],
    ['the server refuses', { status: 400, body: { error: 'invalid_target' } }],
  ])('is temporarily_unavailable with the command that mends it: %s', async (_, fault) => {
    answer(fault);
    const refused = await post(GRANT);
    expectRefusal(refused, 503, 'temporarily_unavailable');
    expect(refused.json.error_description).toMatch(/; next step: broker login demo$/);
    expect(refused.headers).not.toHaveProperty('retry-after');
  });

  it('is temporarily_unavailable when the login has ended, never invalid_grant', async () => {
    await daemon().world.authorizationServer.revokeGrantsOf('alice');
    expectRefusal(await post(GRANT), 503, 'temporarily_unavailable');
    daemon().world.clock.jump(60_000);
    const refused = await post(GRANT);
    expectRefusal(refused, 503, 'temporarily_unavailable');
    expect(refused.json.error_description).toMatch(/signed in again.*; next step: broker login demo$/);
  });

  it('is temporarily_unavailable with Retry-After while the provider is down', async () => {
    answer({ status: 503, headers: { 'retry-after': '90' } });
    const refused = await post(GRANT);
    expectRefusal(refused, 503, 'temporarily_unavailable');
    expect(refused.headers['retry-after']).toBe('90');
  });

  it('is server_error, and nothing about us, when something unexpected fails', async () => {
    const file = new DatabaseSync(daemon().world.vaultPath);
    file.exec(`UPDATE agents SET policy = '{"damaged'`);
    file.close();
    const failed = await post(GRANT);
    expectRefusal(failed, 500, 'server_error');
    expect(failed.text).not.toMatch(/JSON|damaged|at \w+ \(|\.ts/);
  });
});

describe('an agent over its rate', () => {
  const { daemon, post, expectRefusal } = openTokenEndpoint('shared');

  it('is temporarily_unavailable with 429, and is told when to come again', async () => {
    const key = await daemon().addAgent({ name: 'busy-bot', rate: { requests: 2, per: 'm' } });
    const byHeader = () => post(GRANT, basic('busy-bot', key));
    const byBody = () => post(`${GRANT}&client_id=busy-bot&client_secret=${key}`, {});
    expect([(await byHeader()).status, (await byBody()).status]).toEqual([200, 200]);
    for (const ask of [byHeader, byBody]) {
      const refused = await ask();
      expectRefusal(refused, 429, 'temporarily_unavailable');
      expect(refused.headers['retry-after']).toBe('30');
      expect(refused.headers).not.toHaveProperty('www-authenticate');
      expect(refused.json.error_description).toMatch(
        /asks more often than 2\/m; next step: .*broker agent set/,
      );
    }
    expect((await post(GRANT)).status).toBe(200);
    daemon().world.clock.jump(30_000);
    expect((await byHeader()).status).toBe(200);
  });

  it('hears of nothing else first', async () => {
    const key = await daemon().addAgent({ name: 'slow-bot', rate: { requests: 1, per: 'h' } });
    await post(GRANT, basic('slow-bot', key));
    for (const body of ['grant_type=password', `${GRANT}&resource=https://unknown.example.com`])
      expectRefusal(await post(body, basic('slow-bot', key)), 429, 'temporarily_unavailable');
  });
});
