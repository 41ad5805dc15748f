/** Servers whose access tokens live a few seconds: each is served while it lives, and replaced in time. */
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { TokenQuery } from '../../src/broker/tokens.ts';
import { isRefresh } from '../support/gate.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const FIVE_SECONDS_MS = 5_000;

let world: World;
let broker: Broker;

afterEach(() => world.close());

const token = (query?: TokenQuery) => broker.token(OPERATOR, 'demo', query);
const providerIsDown = () =>
  world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));

async function start(accessTokenSeconds = 5): Promise<void> {
  world = await startWorld({ authorizationServer: { accessTokenSeconds } });
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
}

describe('a token of five seconds', () => {
  it('is served until the second by which its server may round, then a new one', async () => {
    await start();
    world.clock.jump(FIVE_SECONDS_MS - 1_001);
    expect(await token()).toMatchObject({ generation: 1 });
    world.clock.jump(1);
    const { generation, expiresAt } = await token();
    expect(generation).toBe(2);
    expect(expiresAt).toBe(world.clock.now() + FIVE_SECONDS_MS);
  });

  it('is replaced when its server rejects it after half its life, and not over and over before', async () => {
    await start();
    await expect(token({ rejectedGeneration: 1 })).rejects.toMatchObject({
      ...{ code: 'rate_limited', retryAfterSeconds: 3 },
    });
    world.clock.jump(FIVE_SECONDS_MS / 2);
    expect(await token({ rejectedGeneration: 1 })).toMatchObject({ generation: 2 });
    await expect(token({ rejectedGeneration: 2 })).rejects.toMatchObject({ code: 'rate_limited' });
  });

  it('is never handed out at its end or past it, not even when there is no other', async () => {
    await start();
    providerIsDown();
    world.clock.jump(FIVE_SECONDS_MS - 1_000);
    expect(await token({ minTtlSeconds: 60 })).toMatchObject({ generation: 1 });
    for (let step = 0; step < 4; step += 1) {
      world.clock.jump(step === 0 ? 1 : 500);
      await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    }
  });

  it('of a login that ends with it is not handed out in its last second: a person is asked for', async () => {
    const metadata = (document: Record<string, unknown>) => ({ ...document, scopes_supported: ['mcp:all'] });
    world = await startWorld({ authorizationServer: { accessTokenSeconds: 5, metadata } });
    broker = await world.openBroker();
    await signIn(broker, world.authorizationServer, world.mcp.url);
    world.clock.jump(FIVE_SECONDS_MS - 1_000);
    expect((await token()).warnings).toEqual([expect.stringContaining('no refresh token')]);
    world.clock.jump(1);
    await expect(token()).rejects.toMatchObject({ code: 'login_required' });
  });

  it('of a machine is asked for anew', async () => {
    world = await startWorld({ authorizationServer: withMachines({ accessTokenSeconds: 5 }) });
    broker = await world.openBroker();
    await broker.add(byPost(world.mcp.url));
    const first = await token();
    world.clock.jump(FIVE_SECONDS_MS - 1_000);
    expect((await token()).accessToken.reveal()).not.toBe(first.accessToken.reveal());
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3 });
  });
});
