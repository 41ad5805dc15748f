import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createThrottle } from '../../src/broker/address-refusals.ts';
import type { Broker } from '../../src/broker/index.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

describe('the throttle', () => {
  const isRefused = (throttle: (address: string) => void, address: string) => {
    try {
      throttle(address);
      return false;
    } catch {
      return true;
    }
  };

  it('remembers some thousand addresses, and forgets the one first that was refused longest ago', () => {
    const throttle = createThrottle(createManualClock(), { requests: 1, per: 'h' });
    throttle('192.0.2.1');
    throttle('192.0.2.2');
    expect(isRefused(throttle, '192.0.2.1')).toBe(true);
    for (let index = 0; index < 9_998; index += 1) throttle(`2001:db8:${index.toString(16)}::/64`);
    expect(isRefused(throttle, '192.0.2.1')).toBe(true);
    throttle('198.51.100.1');
    // The second was forgotten for it; the first was there a moment ago.
    expect(isRefused(throttle, '192.0.2.1')).toBe(true);
    expect(isRefused(throttle, '192.0.2.2')).toBe(false);
  });

  it('is none without a limit', () => {
    const throttle = createThrottle(createManualClock(), null);
    for (let index = 0; index < 1_000; index += 1) throttle('192.0.2.1');
  });
});

describe('strangers in the audit trail', () => {
  let world: World;
  let broker: Broker;

  beforeEach(async () => {
    world = await startWorld();
    broker = await world.openBroker({ authFailures: null });
  });

  afterEach(() => world.close());

  const strangers = () =>
    rowsOf<{ actor: string; detail: string }>(
      world.vaultPath,
      "SELECT actor, detail FROM audit WHERE actor LIKE 'address:%' ORDER BY rowid",
    ).map(({ actor, detail }) => [actor.slice('address:'.length), JSON.parse(detail).count]);
  const refuse = (address: string) => broker.agents.refuse('missing', address);
  const aMinute = async () => {
    await world.clock.advance(60_000);
    await broker.readiness();
  };

  it('have a row for each minute in which they came, and then begin anew', async () => {
    for (let minute = 0; minute < 3; minute += 1) {
      await refuse('192.0.2.1');
      await refuse('192.0.2.1');
      await aMinute();
    }
    expect(strangers()).toEqual([
      ['192.0.2.1', 1],
      ['192.0.2.1', 1],
      ['192.0.2.1', 2],
      ['192.0.2.1', 2],
    ]);
    // A quiet minute, after which it is a stranger again.
    await aMinute();
    await refuse('192.0.2.1');
    expect(strangers().at(-1)).toEqual(['192.0.2.1', 1]);
    expect(strangers()).toHaveLength(5);
  });

  it('that come in crowds are written together, and beyond some thousand as others', async () => {
    const before = strangers().length;
    await Promise.all(Array.from({ length: 10_050 }, (_, index) => refuse(`192.0.2.${index}`)));
    expect(strangers().length - before).toBe(100);
    await broker.close();
    const rows = strangers();
    expect(rows).toHaveLength(10_001);
    expect(rows.find(([address]) => address === 'others')).toEqual(['others', 50]);
    expect(rows.reduce((sum, [, count]) => sum + count, 0)).toBe(10_050);
  });

  it('are answered although nothing can be written, and told later', async () => {
    const held = broker.close;
    const { DatabaseSync } = await import('node:sqlite');
    const file = new DatabaseSync(world.vaultPath);
    file.exec("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END");
    await refuse('192.0.2.1');
    await refuse('192.0.2.1');
    expect(strangers()).toEqual([]);
    file.exec('DROP TRIGGER full');
    file.close();
    await held();
    expect(strangers()).toEqual([['192.0.2.1', 2]]);
  });
});
