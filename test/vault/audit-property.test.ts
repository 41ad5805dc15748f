import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Mac } from '../../src/vault/audit-chain.ts';
import { verifyAudit } from '../../src/vault/audit-verify.ts';
import { query, type Steps, type Value } from '../../src/vault/database.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

const ROWS = 12;
const COLUMNS = [
  'sequence',
  'writer',
  'at',
  'actor',
  'action',
  'connection',
  'outcome',
  'detail',
  'mac',
] as const;
type Row = Record<(typeof COLUMNS)[number], Value>;

let test: TestVault;
let mac: Mac;
let original: Row[];

beforeAll(async () => {
  test = await openTestVault();
  mac = test.vault.sealer.mac;
  const writers = [test.vault, await test.openAgain(), await test.openAgain()];
  for (let row = 0; row < ROWS; row += 1) {
    // Some rows say the same, so that telling them apart is left to their places.
    const record = { actor: 'operator', action: ['login', 'token'][row % 2] as string, outcome: 'ok' };
    const writer = writers[row % 3] as TestVault['vault'];
    await writer.transaction(() =>
      writer.audit.append({ ...record, connection: row % 4 === 0 ? undefined : 'coda' }),
    );
  }
  // Nothing here is to survive a power cut.
  await test.vault.run(() => query('PRAGMA synchronous = OFF'));
  original = await test.vault.run(() => query<Row>('SELECT * FROM audit ORDER BY sequence'));
});

afterAll(() => test.close());

/** What somebody may make of the rows. */
type Change = (rows: Row[]) => Row[];

const place = fc.nat(ROWS - 1);
const twoPlaces = fc.uniqueArray(place, { minLength: 2, maxLength: 2 }) as fc.Arbitrary<[number, number]>;
const anyValue = fc.oneof(fc.string(), fc.integer(), fc.constantFrom('coda', 'ok', 'operator', '', '{}'));

const edits: fc.Arbitrary<Change> = fc
  .tuple(
    place,
    fc.constantFrom(...COLUMNS),
    fc.oneof(
      anyValue.map((value) => () => value),
      // What another row has there.
      place.map((from) => (rows: Row[], column: keyof Row) => (rows[from] as Row)[column]),
    ),
  )
  .map(([at, column, valueFor]) => (rows) => {
    const value = valueFor(rows, column);
    return rows.map((row, index) => (index === at ? { ...row, [column]: value } : row));
  });
const deletions: fc.Arbitrary<Change> = place.map((at) => (rows) => rows.filter((_, index) => index !== at));
const cuts: fc.Arbitrary<Change> = place.map((at) => (rows) => rows.slice(0, at));
const swaps: fc.Arbitrary<Change> = fc
  .tuple(twoPlaces, fc.subarray([...COLUMNS], { minLength: 1 }))
  .map(([[one, other], columns]) => (rows) => {
    const take = (to: number, from: number) => ({
      ...(rows[to] as Row),
      ...Object.fromEntries(columns.map((column) => [column, (rows[from] as Row)[column]])),
    });
    return rows.map((row, index) =>
      index === one ? take(one, other) : index === other ? take(other, one) : row,
    );
  });
const copies: fc.Arbitrary<Change> = fc
  .tuple(place, fc.integer({ min: -3, max: ROWS + 3 }))
  .map(([from, to]) => (rows) => [...rows, { ...(rows[from] as Row), sequence: to }]);

function* replace(rows: Row[]): Steps<void> {
  yield* query('DELETE FROM audit');
  const values = `(${COLUMNS.map(() => '?').join(', ')})`;
  for (const row of rows)
    yield* query(
      `INSERT INTO audit (${COLUMNS.join(', ')}) VALUES ${values}`,
      ...COLUMNS.map((column) => row[column]),
    );
}

const bySequence = (rows: Row[]) =>
  rows.map((row) => JSON.stringify(COLUMNS.map((column) => row[column]))).sort();

describe('a chain that somebody changed', () => {
  it.each([
    ['edits a value', edits],
    ['deletes a row', deletions],
    ['cuts the end off', cuts],
    ['swaps values of two rows', swaps],
    ['copies a row', copies],
  ])('is found, whoever %s', async (_, changes) => {
    await fc.assert(
      fc.asyncProperty(changes, async (change) => {
        const changed = change(original);
        const sequences = changed.map(({ sequence }) => String(sequence));
        // What the table itself refuses, and what changes nothing.
        fc.pre(new Set(sequences).size === sequences.length);
        fc.pre(JSON.stringify(bySequence(changed)) !== JSON.stringify(bySequence(original)));
        await test.vault.transaction(() => replace(changed));
        const { faultCount } = await verifyAudit(test.vault, mac);
        expect(faultCount).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });

  it('is whole again once all is as it was', async () => {
    await test.vault.transaction(() => replace(original));
    expect(await verifyAudit(test.vault, mac)).toMatchObject({ faultCount: 0, rows: ROWS });
  });
});
