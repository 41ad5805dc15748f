import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditTrail, startAuditTrail } from '../support/audit-trail.ts';

let trail: AuditTrail;
/** The last row. */
let end: number;

beforeAll(async () => {
  trail = await startAuditTrail();
  end = trail.rows;
});

afterAll(() => trail.close());

/** The first bad place. */
async function fault(sql: string) {
  const { intact, faults, fault_count } = await trail.verdict(sql);
  expect(intact).toBe(false);
  expect(fault_count).toBeGreaterThan(0);
  return faults[0];
}

const COLUMNS = 'writer, at, actor, action, connection, outcome, detail';

describe('the audit trail as it was written', () => {
  it('is intact, and says what to note of it', async () => {
    expect(end).toBeGreaterThan(7);
    expect(await trail.verdict('')).toEqual({
      intact: true,
      rows: end,
      first_at: '2026-01-01T00:00:00.000Z',
      last_at: '2026-01-01T00:03:00.000Z',
      note: expect.stringMatching(new RegExp(`^${end}:[0-9a-f]{16}$`)),
      fault_count: 0,
      faults: [],
    });
  });

  it('was written by several processes', async () => {
    const broker = await trail.tamper(() => {});
    const { entries } = await broker.audit.entries({});
    const writers = new Set<string>();
    for await (const { writer } of entries) writers.add(writer);
    expect(writers.size).toBe(3);
  });

  it('stays intact while others go on writing', async () => {
    const broker = await trail.tamper(() => {});
    await broker.agents.add({
      name: 'new',
      allow: ['demo'],
      modes: ['token'],
      admin: false,
      expiresAt: null,
    });
    expect(await broker.audit.verify()).toMatchObject({ intact: true, rows: end + 1 });
  });
});

describe('somebody with the file but not the audit key is found who', () => {
  it.each([
    ['writer', "'somebody'"],
    ['at', 'at + 1'],
    ['at', '9223372036854775807'],
    ['at', "'no time'"],
    ['actor', "'operator '"],
    ['action', "'login'"],
    ['connection', "'other'"],
    ['outcome', "'forbidden'"],
    ['outcome', 'CAST(outcome AS BLOB)'],
    ['detail', `'{"a":1}'`],
    ['mac', '(SELECT mac FROM audit WHERE sequence = 2)'],
    ['mac', "''"],
  ])('(a) edits %s to %s', async (column, value) => {
    expect(await fault(`UPDATE audit SET ${column} = ${value} WHERE sequence = 4`)).toMatchObject({
      kind: 'edited',
      sequence: 4,
      message: 'row 4 is not as it was written',
    });
  });

  it('(a) moves text from one column to the next', async () => {
    const sql =
      'UPDATE audit SET actor = actor || substr(action, 1, 1), action = substr(action, 2) WHERE sequence = 4';
    expect(await fault(sql)).toMatchObject({ kind: 'edited', sequence: 4 });
  });

  it('(b) deletes rows in the middle, or at the beginning', async () => {
    expect(await fault('DELETE FROM audit WHERE sequence = 4')).toMatchObject({
      kind: 'missing',
      sequence: 4,
    });
    const several = await fault('DELETE FROM audit WHERE sequence IN (4, 5)');
    expect(several).toMatchObject({
      kind: 'missing',
      sequence: 4,
      through: 5,
      message: 'rows 4 to 5 are missing',
    });
    expect(await fault('DELETE FROM audit WHERE sequence = 1')).toMatchObject({
      kind: 'missing',
      sequence: 1,
    });
  });

  it('(b) deletes a row and closes the gap', async () => {
    const sql =
      'DELETE FROM audit WHERE sequence = 4; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 4';
    expect(await fault(sql)).toMatchObject({ kind: 'edited', sequence: 4 });
  });

  it.each([
    [4, 5],
    [2, 6],
  ])('(c) swaps rows %i and %i', async (one, other) => {
    const sql = `UPDATE audit SET sequence = -1 WHERE sequence = ${one};
      UPDATE audit SET sequence = ${one} WHERE sequence = ${other};
      UPDATE audit SET sequence = ${other} WHERE sequence = -1`;
    expect(await fault(sql)).toMatchObject({ kind: 'out_of_order', sequence: one, stands_at: other });
  });

  it('(c) swaps what rows say', async () => {
    const sql = `CREATE TEMP TABLE copy AS SELECT * FROM audit;
      UPDATE audit SET (${COLUMNS}) = (SELECT ${COLUMNS} FROM copy WHERE copy.sequence = 9 - audit.sequence)
      WHERE sequence IN (4, 5)`;
    expect(await fault(sql)).toMatchObject({ kind: 'out_of_order', sequence: 4, stands_at: 5 });
  });

  it('(c) gives a row to another writer', async () => {
    const sql = 'UPDATE audit SET writer = (SELECT writer FROM audit WHERE sequence = 1) WHERE sequence = 5';
    expect(await fault(sql)).toMatchObject({ kind: 'edited', sequence: 5 });
  });

  it('(d) cuts the end off, and sets the head back to what he finds in the table', async () => {
    const cut = 'DELETE FROM audit WHERE sequence > 5';
    expect(await fault(cut)).toMatchObject({ kind: 'cut_off', sequence: 6, through: end });
    const back = 'UPDATE audit_head SET sequence = 5, mac = (SELECT mac FROM audit WHERE sequence = 5)';
    expect(await fault(`${cut}; ${back}`)).toMatchObject({ kind: 'head_edited', sequence: 5 });
    expect(await fault(`${cut}; ${back}, seal = mac`)).toMatchObject({ kind: 'head_edited', sequence: 5 });
  });

  it('(e) deletes all that one process wrote', async () => {
    const writer = (of: string) =>
      `DELETE FROM audit WHERE writer = (SELECT writer FROM audit WHERE sequence = ${of})`;
    expect(await fault(writer('1'))).toMatchObject({ kind: 'missing', sequence: 1 });
    expect(await fault(writer(String(end)))).toMatchObject({ kind: 'cut_off', through: end });
  });

  it('(f) deletes everything', async () => {
    expect(await fault('DELETE FROM audit')).toMatchObject({ kind: 'cut_off', sequence: 1, through: end });
    const all = 'DELETE FROM audit; DELETE FROM audit_head';
    expect(await fault(all)).toMatchObject({ kind: 'head_missing' });
  });

  it('(g) copies rows, to the end or before the beginning', async () => {
    const copy = (to: string) =>
      `INSERT INTO audit SELECT ${to}, ${COLUMNS}, mac FROM audit WHERE sequence = 2`;
    expect(await fault(copy(String(end + 1)))).toMatchObject({ kind: 'edited', sequence: end + 1 });
    expect(await fault(copy('0'))).toMatchObject({ kind: 'added', sequence: 0 });
    expect(await fault(copy("'x'"))).toMatchObject({ kind: 'added' });
    expect(await fault(copy('9223372036854775807'))).toMatchObject({ kind: 'added' });
  });

  it.each([
    'sequence = sequence - 1',
    'sequence = 9223372036854775807',
    "mac = ''",
    'removed = 2',
    'removed = 3, removed_mac = (SELECT mac FROM audit WHERE sequence = 3)',
    'removed_until = 1',
    'removed_at = 1',
    "seal = ''",
    'seal = (SELECT mac FROM audit WHERE sequence = audit_head.sequence)',
  ])('(h) forges the head: %s', async (change) => {
    const { faults } = await trail.verdict(`UPDATE audit_head SET ${change}`);
    expect(faults.map(({ kind }) => kind)).toContain('head_edited');
  });

  it('passes his own removal off as retention', async () => {
    const sql = `UPDATE audit_head SET removed = 3, removed_until = 1, removed_at = 2,
      removed_mac = (SELECT mac FROM audit WHERE sequence = 3); DELETE FROM audit WHERE sequence <= 3`;
    expect(await fault(sql)).toMatchObject({ kind: 'head_edited' });
  });
});

describe('what the broker writes later', () => {
  it.each([
    ['a row that was edited', "UPDATE audit SET actor = 'x' WHERE sequence = 4", 'edited'],
    ['an end that was cut off', 'DELETE FROM audit WHERE sequence > 5', 'cut_off'],
    [
      'a head that was set back',
      `DELETE FROM audit WHERE sequence > 5;
       UPDATE audit_head SET sequence = 5, mac = (SELECT mac FROM audit WHERE sequence = 5)`,
      'head_edited',
    ],
    ['a head that was removed', 'DELETE FROM audit_head', 'head_missing'],
    ['everything that was removed', 'DELETE FROM audit; DELETE FROM audit_head', 'head_missing'],
    [
      'a row in its way',
      `INSERT INTO audit SELECT sequence + 1, ${COLUMNS}, mac FROM audit ORDER BY sequence DESC LIMIT 1`,
      'edited',
    ],
  ])('does not make good %s, and is written all the same', async (_, sql) => {
    const broker = await trail.tamper((database) => database.exec(sql));
    const before = await broker.audit.verify();
    for (const name of ['new', 'newer'])
      await broker.agents.add({ name, allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
    const after = await broker.audit.verify();
    expect([before.intact, after.intact]).toEqual([false, false]);
    expect(after.rows).toBe(before.rows + 2);
  });
});

describe('what was noted elsewhere', () => {
  const parse = (note = '') => ({
    sequence: Number(note.split(':')[0]),
    digest: note.split(':')[1] as string,
  });

  it('is still there after more was written', async () => {
    const broker = await trail.tamper(() => {});
    const noted = parse((await broker.audit.verify()).note);
    await broker.agents.add({
      name: 'new',
      allow: ['demo'],
      modes: ['token'],
      admin: false,
      expiresAt: null,
    });
    expect(await broker.audit.verify({ noted, atLeast: end + 1 })).toMatchObject({ intact: true });
  });

  it('shows a whole old copy, before and after more was written', async () => {
    const later = await trail.tamper(() => {});
    await later.agents.add({ name: 'new', allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
    const noted = parse((await later.audit.verify()).note);
    const old = await trail.tamper(() => {});
    expect(await old.audit.verify()).toMatchObject({ intact: true });
    expect(await old.audit.verify({ atLeast: end + 1 })).toMatchObject({ intact: false });
    const [shorter] = (await old.audit.verify({ noted })).faults;
    expect(shorter).toMatchObject({ kind: 'shorter_than_noted', sequence: end + 1 });
    await old.agents.add({ name: 'else', allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
    const [other] = (await old.audit.verify({ noted })).faults;
    expect(other).toMatchObject({ kind: 'not_as_noted', sequence: end + 1 });
  });
});
