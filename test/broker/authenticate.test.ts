import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import { lastRecord, newAgent } from '../support/agents.ts';
import { auditTrail } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

const add = async (agent?: Partial<NewAgent>) => (await broker.agents.add(newAgent(agent))).key;
/** The code each of `count` tries at once ends with. */
const tries = (key: Secret, count: number, by = broker) =>
  Promise.all(
    Array.from({ length: count }, () =>
      by.agents.authenticate(key).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      ),
    ),
  );
const trail = () => auditTrail(world.vaultPath).slice(1);

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('an agent with a rate', () => {
  it('is answered so often and then told when to come again', async () => {
    const key = await add({ rate: { requests: 3, per: 'm' } });
    expect(await tries(key, 4)).toEqual(['ok', 'ok', 'ok', 'rate_limited']);
    await expect(broker.agents.authenticate(key)).rejects.toMatchObject({
      message: 'the agent docs-bot asks more often than 3/m',
      retryAfterSeconds: 20,
      hint: expect.stringContaining('wait 20 s'),
    });
    world.clock.jump(20_000);
    expect(await tries(key, 2)).toEqual(['ok', 'rate_limited']);
  });

  it('has one limit for both of its keys', async () => {
    const old = await add({ rate: { requests: 2, per: 'm' } });
    const { key } = await broker.agents.rotate('docs-bot');
    expect(await tries(old, 1)).toEqual(['ok']);
    expect(await tries(key, 2)).toEqual(['ok', 'rate_limited']);
    expect(await tries(old, 1)).toEqual(['rate_limited']);
  });

  it('does not take from another', async () => {
    const rate = { requests: 1, per: 'h' } as const;
    const [one, other] = [await add({ rate }), await add({ name: 'other-bot', rate })];
    expect([...(await tries(one, 2)), ...(await tries(other, 1))]).toEqual(['ok', 'rate_limited', 'ok']);
  });

  it('is counted by each process for itself', async () => {
    const key = await add({ rate: { requests: 1, per: 'h' } });
    const other = await world.openBroker();
    expect([...(await tries(key, 1)), ...(await tries(key, 2, other))]).toEqual(['ok', 'ok', 'rate_limited']);
  });

  it('gets another limit at its next request', async () => {
    const key = await add({ rate: { requests: 1, per: 'h' } });
    await tries(key, 2);
    await broker.agents.set('docs-bot', { rate: { requests: 2, per: 'h' } });
    expect(await tries(key, 3)).toEqual(['ok', 'ok', 'rate_limited']);
    await broker.agents.set('docs-bot', { rate: null });
    expect(new Set(await tries(key, 50))).toEqual(new Set(['ok']));
  });
});

describe('refusals on record', () => {
  it('are the first of an agent at once, and then one a minute that tells of the others', async () => {
    const key = await add({ rate: { requests: 1, per: 'h' } });
    await tries(key, 6);
    expect(trail()).toEqual([{ actor: 'agent:docs-bot', action: 'request', outcome: 'rate_limited' }]);
    expect(lastRecord(world.vaultPath).detail).toEqual({ rate: '1/h' });
    world.clock.jump(59_999);
    await tries(key, 1);
    expect(trail()).toHaveLength(1);
    world.clock.jump(1);
    await tries(key, 2);
    expect(trail()).toHaveLength(2);
    expect(lastRecord(world.vaultPath).detail).toEqual({ rate: '1/h', unwritten_before: 5 });
  });

  it('name the reason that the agent is not told', async () => {
    const revoked = await add();
    await broker.agents.revoke('docs-bot');
    const expired = await add({ name: 'short-bot', expiresAt: world.clock.now() + 1 });
    const rotated = await add({ name: 'new-bot' });
    await broker.agents.rotate('new-bot', 0);
    world.clock.jump(1);
    const unknown = await broker.agents.authenticate(new Secret('mtb_no')).catch((error: unknown) => error);
    for (const key of [revoked, expired, rotated])
      await expect(broker.agents.authenticate(key)).rejects.toEqual(unknown);
    const reasons = trail().filter(({ action }) => action === 'authenticate');
    expect(reasons.map(({ actor, outcome }) => [actor, outcome])).toEqual([
      ['agent:docs-bot', 'revoked'],
      ['agent:short-bot', 'expired'],
      ['agent:new-bot', 'rotated'],
    ]);
  });

  it('of a key that opens nothing are one a minute as well, however often it is tried', async () => {
    const key = await add();
    await broker.agents.revoke('docs-bot');
    expect(new Set(await tries(key, 20))).toEqual(new Set(['unauthenticated']));
    expect(trail().map(({ outcome }) => outcome)).toEqual(['ok', 'revoked']);
  });
});
