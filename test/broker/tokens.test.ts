import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { toTokenView } from '../../src/broker/token-view.ts';
import type { TokenQuery } from '../../src/broker/tokens.ts';
import { isRefresh } from '../support/gate.ts';
import { signIn } from '../support/sign-in.ts';
import { startWorld, type World } from '../support/world.ts';

const AN_HOUR_MS = 3_600_000;
const HALF_AN_HOUR_S = 1800;

let world: World;
let broker: Broker;

const token = (query?: TokenQuery) => broker.token(OPERATOR, 'demo', query);
const presentations = () => world.authorizationServer.requests.filter(isRefresh).length;
const providerIsDown = () =>
  world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
});

afterEach(() => world.close());

describe('a token', () => {
  it('is served as it is while it lives', async () => {
    const first = await token();
    world.clock.jump(AN_HOUR_MS - 11_000);
    const second = await token();
    expect(second.accessToken.reveal()).toBe(first.accessToken.reveal());
    expect(presentations()).toBe(0);
  });

  it('counts as ended 10 s early, so that it survives the trip', async () => {
    world.clock.jump(AN_HOUR_MS - 10_000);
    expect(await token()).toMatchObject({ generation: 2 });
  });

  it('is shown with seconds and RFC 3339, and never by accident', async () => {
    const granted = await token();
    const view = toTokenView(granted, world.clock.now());
    expect(view).toEqual({
      access_token: granted.accessToken.reveal(),
      token_type: 'Bearer',
      expires_in: 3600,
      expires_at: '2026-01-01T01:00:00Z',
      refresh_after: '2026-01-01T00:48:00Z',
      scope: 'mcp:all',
      resource: world.mcp.url,
      connection: 'demo',
      generation: 1,
    });
    expect(JSON.stringify(granted)).not.toContain(view.access_token);
  });
});

describe('min_ttl', () => {
  it('refreshes a token that would not live long enough', async () => {
    world.clock.jump(AN_HOUR_MS - 600_000);
    expect(await token({ minTtlSeconds: 599 })).toMatchObject({ generation: 1 });
    expect(await token({ minTtlSeconds: 600 })).toMatchObject({ generation: 2 });
  });

  it('is clamped to half the lifetime, so that a greedy caller does not refresh each time', async () => {
    expect(await token({ minTtlSeconds: 86_400 })).toMatchObject({ generation: 1 });
    world.clock.jump(HALF_AN_HOUR_S * 1000 - 1);
    expect(await token({ minTtlSeconds: 86_400 })).toMatchObject({ generation: 1 });
    world.clock.jump(1);
    expect(await token({ minTtlSeconds: 86_400 })).toMatchObject({ generation: 2 });
    expect(await token({ minTtlSeconds: 86_400 })).toMatchObject({ generation: 2 });
  });

  it('is not met while the provider is down: the living token is served with a warning', async () => {
    providerIsDown();
    world.clock.jump(HALF_AN_HOUR_S * 1000);
    const granted = await token({ minTtlSeconds: HALF_AN_HOUR_S });
    expect(granted).toMatchObject({ generation: 1 });
    expect(granted.warnings).toEqual([expect.stringMatching(/^degraded: .+; run: broker refresh demo$/)]);
    await token({ minTtlSeconds: HALF_AN_HOUR_S });
    expect(presentations()).toBe(1);
  });
});

describe('a rejected generation', () => {
  beforeEach(() => world.clock.jump(60_000));

  it('refreshes once when it is the current one, for any number of callers', async () => {
    const tokens = await Promise.all([1, 2, 3].map(() => token({ rejectedGeneration: 1 })));
    expect(tokens.map(({ generation }) => generation)).toEqual([2, 2, 2]);
    expect(presentations()).toBe(1);
  });

  it('is answered by the newer token without a refresh when it is not the current one', async () => {
    await token({ rejectedGeneration: 1 });
    expect(await token({ rejectedGeneration: 1 })).toMatchObject({ generation: 2 });
    expect(await token({ rejectedGeneration: 99 })).toMatchObject({ generation: 2 });
    expect(presentations()).toBe(1);
  });

  it('is rate limited when the token is fresh: refreshing in a circle mends nothing', async () => {
    await token({ rejectedGeneration: 1 });
    world.clock.jump(10_000);
    await expect(token({ rejectedGeneration: 2 })).rejects.toMatchObject({
      code: 'rate_limited',
      connection: 'demo',
      retryAfterSeconds: 20,
    });
    world.clock.jump(20_000);
    expect(await token({ rejectedGeneration: 2 })).toMatchObject({ generation: 3 });
  });

  it('is not answered with the very token that was rejected when the refresh fails', async () => {
    providerIsDown();
    await expect(token({ rejectedGeneration: 1 })).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(await token()).toMatchObject({ generation: 1 });
  });
});

describe('a provider that is down', () => {
  it('is asked again only when the next attempt is due, while the token has ended', async () => {
    providerIsDown();
    world.clock.jump(AN_HOUR_MS);
    const error = await token().catch((each: unknown) => each);
    expect(error).toMatchObject({
      code: 'upstream_unavailable',
      hint: expect.stringContaining('broker show demo'),
    });
    for (let caller = 0; caller < 3; caller += 1) await expect(token()).rejects.toThrow('no valid token');
    expect(presentations()).toBe(1);
    world.clock.jump((error as { retryAfterSeconds: number }).retryAfterSeconds * 1000);
    await expect(token()).rejects.toThrow('no valid token');
    expect(presentations()).toBe(2);
  });

  it('is asked at once when the operator says so', async () => {
    providerIsDown();
    world.clock.jump(AN_HOUR_MS);
    await expect(token()).rejects.toThrow();
    world.authorizationServer.fail(undefined);
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 2 });
  });
});

describe('a login without a refresh token', () => {
  beforeEach(async () => {
    const metadata = (document: Record<string, unknown>) => ({ ...document, scopes_supported: [] });
    await world.close();
    world = await startWorld({ authorizationServer: { metadata } });
    broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
  });

  it('serves its token with a warning as long as it lives, even if it is too short', async () => {
    world.clock.jump(HALF_AN_HOUR_S * 1000 + 1);
    const { warnings } = await token({ minTtlSeconds: HALF_AN_HOUR_S });
    expect(warnings).toEqual(['no refresh token: this login ends with its access token']);
  });

  it('needs a login when its token has ended', async () => {
    world.clock.jump(AN_HOUR_MS);
    const ended = { code: 'login_required', hint: 'broker login demo' };
    await expect(token()).rejects.toMatchObject(ended);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ state: 'login_required' });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject(ended);
    expect(presentations()).toBe(0);
  });
});

it('a connection nobody knows is not found', async () => {
  await expect(broker.token(OPERATOR, 'coda')).rejects.toMatchObject({
    code: 'not_found',
    connection: 'coda',
  });
});
