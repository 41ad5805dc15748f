import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { isRefresh } from '../support/gate.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, journal } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

const presentations = () => world.authorizationServer.requests.filter(isRefresh).length;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

/** Signs in under this policy, then loses the answer to one refresh. */
async function loseAnswer(recovery: RecoveryPolicy | undefined): Promise<void> {
  await signIn(broker, world.authorizationServer, world.mcp.url, { recovery });
  world.authorizationServer.fail((request) => (isRefresh(request) ? { destroyBefore: true } : undefined));
  await broker.refresh(OPERATOR, 'demo').catch(() => undefined);
  world.authorizationServer.fail(undefined);
}

describe('a lost answer', () => {
  it('is asked for again by default: this server had not acted, and nothing is lost', async () => {
    await loseAnswer(undefined);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'uncertain' });
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 2 });
    expect(presentations()).toBe(2);
  });

  it('never causes a second presentation where the server must not be asked twice', async () => {
    await loseAnswer('needs-login');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'login_required' });
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'login_required' });
    expect(presentations()).toBe(1);
    // The present token still lives, and is handed out with a warning.
    expect((await broker.token(OPERATOR, 'demo')).warnings[0]).toContain('broker login demo');
  });

  it('closes the journal where the server never replaces tokens', async () => {
    await loseAnswer('reuse-safe');
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'degraded' });
    expect(journal(world.vaultPath)[0]?.outcome).not.toBeNull();
    expect(await broker.refresh(OPERATOR, 'demo')).toMatchObject({ state: 'ok', generation: 2 });
  });

  it('is judged by the policy of the last login that named one', async () => {
    await signIn(broker, world.authorizationServer, world.mcp.url, { recovery: 'needs-login' });
    await signIn(broker, world.authorizationServer, world.mcp.url);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({ recovery: 'needs-login' });
  });
});
