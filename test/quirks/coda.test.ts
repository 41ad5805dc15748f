/**
 * A server like the one of Coda: its challenge names no metadata; it takes confidential clients only, with the secret in
 * the body; its secrets end after 180 days; it says nothing of refresh tokens, revocation or `iss`.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import type { Oddities } from './odd-server.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

const DAY_MS = 24 * 3_600_000;
const SECRET_DAYS = 180;

const CHALLENGE = 'Bearer realm="mcp", scope="mcp:all"';
const ENDPOINT = '/apis/mcp';
const METADATA = `/.well-known/oauth-protected-resource${ENDPOINT}`;

const resourceOf = (url: string) => ({
  resource: `${url}${ENDPOINT}`,
  authorization_servers: [url],
  scopes_supported: ['mcp:all'],
});

let world: OddWorld;
let target: string;

const oddities = (): Oddities => ({
  challenge: () => CHALLENGE,
  resource: (_, url) => resourceOf(url),
  metadata: ({ authorization_response_iss_parameter_supported: _, ...document }) => ({
    ...document,
    scopes_supported: ['mcp:all'],
    grant_types_supported: ['authorization_code'],
    token_endpoint_auth_methods_supported: ['client_secret_post'],
  }),
  routes: (url) => ({
    [`POST ${ENDPOINT}`]: { status: 401, headers: { 'www-authenticate': CHALLENGE } },
    [`GET ${METADATA}`]: { status: 200, body: resourceOf(url) },
  }),
  register: (wanted) =>
    wanted.token_endpoint_auth_method === 'client_secret_post'
      ? {
          status: 201,
          body: {
            ...wanted,
            client_secret: 'of-this-test',
            client_secret_expires_at: (world.clock.now() + SECRET_DAYS * DAY_MS) / 1000,
          },
        }
      : { status: 400, body: { error: 'invalid_client_metadata' } },
});

beforeEach(async () => {
  world = await startOddWorld();
  world.server.change(oddities());
  target = `${world.server.url}${ENDPOINT}`;
});

afterEach(() => world.close());

const signIn = () => world.signIn({ target, name: 'coda' });

describe('a server like the one of Coda', () => {
  it('is found by its well-known address, and asked for the very scope and resource it names', async () => {
    const { asked, connected } = await signIn();
    expect(world.server.requests.map(({ path }) => path)).toContain(METADATA);
    expect(asked.get('scope')).toBe('mcp:all');
    expect(asked.get('resource')).toBe(target);
    expect(connected).toMatchObject({ connection: 'coda', refresh_token: true, resource: target });
    expect(world.server.tokenRequests()[0]?.form.get('resource')).toBe(target);
  });

  it('gets the secret in the body, never in a header', async () => {
    await signIn();
    await world.broker.refresh(OPERATOR, 'coda');
    for (const { form, authorization } of world.server.tokenRequests()) {
      expect([form.get('client_secret'), authorization]).toEqual(['of-this-test', undefined]);
    }
  });

  it('is asked for refreshes although it does not list that grant', async () => {
    await signIn();
    world.clock.jump(3_600_000);
    expect(await world.broker.token(OPERATOR, 'coda')).toMatchObject({ generation: 2, warnings: [] });
    expect(world.server.tokenRequests('refresh_token')).toHaveLength(1);
  });

  it('is asked for a client with the refresh grant first, then for one without', async () => {
    const { register } = oddities();
    world.server.change({
      register: (wanted) =>
        String(wanted.grant_types).includes('refresh_token')
          ? { status: 400, body: { error: 'invalid_client_metadata' } }
          : register?.(wanted),
    });
    expect((await signIn()).connected.refresh_token).toBe(true);
    expect(world.server.registrations().map(({ grant_types }) => grant_types)).toEqual([
      ['authorization_code', 'refresh_token'],
      ['authorization_code'],
    ]);
  });

  it('is warned of 30, 14 and 3 days before its client secret ends, each time more urgently', async () => {
    await signIn();
    const [client] = rowsOf<{ at: number }>(
      world.vaultPath,
      'SELECT client_secret_expires_at AS at FROM clients',
    );
    const endsAt = world.clock.now() + SECRET_DAYS * DAY_MS;
    expect(client?.at).toBe(endsAt);
    const checkAt = async (at: number) => {
      world.clock.jump(at - world.clock.now());
      return world.broker.check(OPERATOR, 'coda', { refresh: true });
    };
    expect(await checkAt(endsAt - 30 * DAY_MS - 1)).toMatchObject({ exit_code: 0 });
    const words = { 30: 'signing in again gets a new one', 14: 'sign in again soon', 3: 'sign in again now' };
    for (const days of [30, 14, 3] as const) {
      expect(await checkAt(endsAt - days * DAY_MS)).toMatchObject({
        exit_code: 1,
        message: expect.stringContaining(`the client secret ends in ${days} days; ${words[days]}`),
        next_step: 'broker login coda',
      });
    }
    expect(await checkAt(endsAt)).toMatchObject({
      exit_code: 2,
      message: expect.stringContaining('has ended'),
    });
  });

  it('makes a new client at the next login before its secret ends, and the old login serves until then', async () => {
    await signIn();
    world.clock.jump((SECRET_DAYS - 10) * DAY_MS);
    expect((await world.broker.token(OPERATOR, 'coda')).generation).toBe(2);
    await signIn();
    expect(world.server.registrations()).toHaveLength(2);
    expect(connectionRow(world.vaultPath, 'coda')).toMatchObject({ state: 'ok', generation: 3 });
    expect(await world.broker.check(OPERATOR, 'coda')).toMatchObject({ exit_code: 0 });
  });

  it('that gives no refresh token is told so at once, and warned of from then on', async () => {
    world.server.change({ answer: ({ refresh_token: _, ...body }) => body });
    expect((await signIn()).connected.refresh_token).toBe(false);
    expect((await world.broker.token(OPERATOR, 'coda')).warnings).toEqual([
      'no refresh token: this login ends with its access token',
    ]);
  });

  it('is left by a logout that says what it could not do there', async () => {
    await signIn();
    expect(await world.broker.logout(OPERATOR, 'coda')).toMatchObject({ revocation: 'unsupported' });
    expect(rowsOf(world.vaultPath, 'SELECT id FROM connections')).toEqual([]);
  });
});
