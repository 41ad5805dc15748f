import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holdsLease, type Lease, releaseLease, renewLease, takeLease } from '../../src/vault/leases.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const LENGTH_MS = 1000;

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

const take = (owner: string, now: number, name = 'connection:coda') =>
  test.vault.transaction(() => takeLease(name, owner, now, LENGTH_MS));
const holds = (lease: Lease, now: number) => test.vault.run(() => holdsLease(lease, now));
const renew = (lease: Lease, now: number) => test.vault.transaction(() => renewLease(lease, now, LENGTH_MS));
const release = (lease: Lease) => test.vault.transaction(() => releaseLease(lease));

/** A lease that must be free. */
async function mustTake(owner: string, now: number): Promise<Lease> {
  const lease = await take(owner, now);
  if (!lease) throw new Error('the lease is taken');
  return lease;
}

describe('a lease', () => {
  it('has one holder at a time, per name', async () => {
    expect(await take('a', 0)).toEqual({ name: 'connection:coda', owner: 'a', fence: 1, leftBy: undefined });
    expect(await take('b', LENGTH_MS - 1)).toBeUndefined();
    expect(await take('b', 0, 'connection:notion')).toMatchObject({ owner: 'b' });
  });

  it('is not taken twice by the same owner either', async () => {
    await mustTake('a', 0);
    expect(await take('a', 1)).toBeUndefined();
  });

  it('goes to exactly one of many that ask at the same moment', async () => {
    const other = await test.openAgain();
    const asked = Array.from({ length: 10 }, (_, index) =>
      (index % 2 ? other : test.vault).transaction(() => takeLease('x', `owner-${index}`, 0, LENGTH_MS)),
    );
    expect((await Promise.all(asked)).filter((lease) => lease !== undefined)).toHaveLength(1);
  });

  it('ends by itself', async () => {
    const lease = await mustTake('a', 0);
    expect(await holds(lease, LENGTH_MS - 1)).toBe(true);
    expect(await holds(lease, LENGTH_MS)).toBe(false);
    expect(await take('b', LENGTH_MS)).toMatchObject({ owner: 'b' });
  });

  it('has a fence that rises with every taking, given back or not', async () => {
    const first = await mustTake('a', 0);
    const second = await mustTake('b', LENGTH_MS);
    await release(second);
    const third = await mustTake('a', LENGTH_MS);
    expect([first.fence, second.fence, third.fence]).toEqual([1, 2, 3]);
  });

  it('is free as soon as it is given back', async () => {
    await release(await mustTake('a', 0));
    expect(await take('b', 1)).toMatchObject({ owner: 'b' });
  });

  it('lasts longer when it is renewed', async () => {
    const lease = await mustTake('a', 0);
    expect(await renew(lease, 900)).toBe(true);
    expect(await holds(lease, 1899)).toBe(true);
    expect(await take('b', 1899)).toBeUndefined();
  });
});

describe('a lease that went to somebody else', () => {
  let lost: Lease;
  let newer: Lease;

  beforeEach(async () => {
    lost = await mustTake('a', 0);
    newer = await mustTake('b', LENGTH_MS);
  });

  it('is not held any more', async () => {
    expect(await holds(lost, LENGTH_MS)).toBe(false);
    expect(await holds(newer, LENGTH_MS)).toBe(true);
  });

  it('cannot be renewed', async () => {
    expect(await renew(lost, LENGTH_MS)).toBe(false);
  });

  it('cannot be given back over the head of its new holder', async () => {
    await release(lost);
    expect(await holds(newer, LENGTH_MS)).toBe(true);
  });

  it('is not held by the same owner under an older fence', async () => {
    await release(newer);
    const again = await mustTake('a', LENGTH_MS + 1);
    expect(await holds(lost, LENGTH_MS + 1)).toBe(false);
    expect(await renew(lost, LENGTH_MS + 1)).toBe(false);
    expect(await holds(again, LENGTH_MS + 1)).toBe(true);
  });
});
