import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type NewState, stateAfterRefusal } from '../../src/core/after-refusal.ts';
import { deleteConnection, type StoredConnection } from '../../src/vault/connections.ts';
import { query } from '../../src/vault/database.ts';
import {
  closeOlderRotations,
  closeRotation,
  historyOf,
  isRestored,
  markRestored,
  openRotation,
  type Rotation,
} from '../../src/vault/rotations.ts';
import { openTestVault, storeConnection, type TestVault } from '../support/vault.ts';

let test: TestVault;
let stored: StoredConnection;

beforeEach(async () => {
  test = await openTestVault();
  stored = await storeConnection(test);
});

afterEach(() => test.close());

const open = (generation: number, now: number, connection = stored) =>
  test.vault.transaction(() => openRotation(connection.id, generation, 'fake-print', now));
const close = (rotation: Rotation, outcome: string, now: number) =>
  test.vault.transaction(() => closeRotation(rotation, outcome, now));
const history = (rotation: Rotation) => test.vault.run(() => historyOf(rotation, Number.MAX_SAFE_INTEGER));

function rows(): Promise<Record<string, unknown>[]> {
  return test.vault.run(() => query('SELECT * FROM rotations ORDER BY generation, attempt'));
}

describe('the journal of refresh tokens presented', () => {
  it('has an open row on disk, with a fingerprint and no token, before the answer', async () => {
    await open(1, 10);
    expect(await rows()).toEqual([
      {
        connection_id: stored.id,
        generation: 1,
        attempt: 1,
        refresh_token_fingerprint: 'fake-print',
        started_at: 10,
        finished_at: null,
        outcome: null,
      },
    ]);
  });

  it('counts attempts per connection and generation', async () => {
    const other = await storeConnection(test, 'notion');
    const attempts = [await open(1, 1), await open(1, 2), await open(2, 3), await open(1, 4, other)];
    expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 1, 1]);
  });

  it('closes the one row that was answered', async () => {
    await open(1, 1);
    await close(await open(1, 2), 'http_503', 3);
    expect((await rows()).map(({ finished_at, outcome }) => [finished_at, outcome])).toEqual([
      [null, null],
      [3, 'http_503'],
    ]);
  });

  it('closes what a newer generation has answered, and nothing else', async () => {
    await close(await open(1, 1), 'http_503', 2);
    await open(1, 3);
    await open(2, 4);
    await test.vault.transaction(() => closeOlderRotations(stored.id, 2, 5));
    expect((await rows()).map(({ outcome }) => outcome)).toEqual(['http_503', 'superseded', null]);
  });

  it('goes with its connection', async () => {
    await open(1, 1);
    await test.vault.transaction(() => deleteConnection(stored.id));
    expect(await rows()).toEqual([]);
  });
});

describe('the history of a refresh token', () => {
  it('is empty for its first presentation', async () => {
    expect(await history(await open(1, 1))).toEqual({ unanswered: 0, firstInvalidGrantAt: null });
  });

  it('counts earlier presentations nobody answered, the present one left out', async () => {
    await open(1, 1);
    await close(await open(1, 2), 'http_503', 2);
    expect(await history(await open(1, 3))).toMatchObject({ unanswered: 1 });
  });

  it('knows nothing of other generations and connections', async () => {
    await open(1, 1);
    await close(await open(1, 1), 'invalid_grant', 1);
    const other = await storeConnection(test, 'notion');
    const empty = { unanswered: 0, firstInvalidGrantAt: null };
    expect(await history(await open(2, 2))).toEqual(empty);
    expect(await history(await open(1, 2, other))).toEqual(empty);
  });

  it('knows that the token came from a backup, and only that of this generation', async () => {
    await test.vault.transaction(() => markRestored(stored.id, 1, 'fingerprint', 1));
    expect(await history(await open(1, 2))).toMatchObject({ isRestored: true, unanswered: 0 });
    expect(await history(await open(2, 3))).not.toHaveProperty('isRestored');
    expect(await test.vault.run(() => isRestored(stored.id, 1))).toBe(true);
    expect(await test.vault.run(() => isRestored(stored.id, 2))).toBe(false);
  });

  it('knows when the server called it invalid', async () => {
    await close(await open(1, 1), 'invalid_grant', 10);
    expect((await history(await open(1, 20))).firstInvalidGrantAt).toBe(10);
  });

  it('confirms an invalid token a minute after it was first called so, also when it was asked in between', async () => {
    const states: string[] = [];
    for (const now of [0, 30_000, 60_000]) {
      const rotation = await open(1, now);
      const found = await history(rotation);
      const next: NewState = stateAfterRefusal(
        stored,
        { verdict: 'final', code: 'invalid_grant' },
        { history: found, recovery: 'retry', now, jitter: 0 },
      );
      states.push(next.state);
      await close(rotation, 'invalid_grant', now);
    }
    expect(states).toEqual(['degraded', 'degraded', 'login_required']);
  });
});
