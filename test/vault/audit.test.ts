import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAudit } from '../../src/vault/audit.ts';
import { auditAfter, auditByTime, newestSequence } from '../../src/vault/audit-read.ts';
import { removeOldest } from '../../src/vault/audit-retention.ts';
import { verifyAudit } from '../../src/vault/audit-verify.ts';
import { query, type Statement, type Steps, type Value } from '../../src/vault/database.ts';
import { openTestVault, type TestVault } from '../support/vault.ts';

interface Row {
  writer: string;
  sequence: number;
  at: number;
  actor: string;
  action: string;
  connection: string | null;
  outcome: string;
  detail: string;
  mac: string;
}

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

const append = (outcome: string, vault = test.vault) =>
  vault.transaction(() =>
    vault.audit.append({ actor: 'operator', action: 'login', connection: 'coda', outcome }),
  );

const rowsOf = (writer: string) =>
  test.vault.run(() => query<Row>('SELECT * FROM audit WHERE writer = ? ORDER BY sequence', writer));

/** What is wrong with the trail. */
async function verify(): Promise<string[]> {
  const { faults } = await verifyAudit(test.vault, test.vault.sealer.mac);
  return faults.map(({ kind, sequence }) => `${kind} ${sequence}`);
}

describe('the audit trail', () => {
  it('keeps what happened, to what, by whom and when', async () => {
    await test.clock.advance(5);
    await test.vault.transaction(() =>
      test.vault.audit.append({
        actor: 'agent:ci',
        action: 'token',
        outcome: 'ok',
        detail: { generation: 2 },
      }),
    );
    expect(await rowsOf(test.vault.owner)).toEqual([
      expect.objectContaining({
        sequence: 1,
        at: test.clock.now(),
        actor: 'agent:ci',
        action: 'token',
        connection: null,
        outcome: 'ok',
        detail: '{"generation":2}',
      }),
    ]);
  });

  it('is a chain that holds when it is recomputed', async () => {
    for (const outcome of ['one', 'two', 'three']) await append(outcome);
    expect((await rowsOf(test.vault.owner)).map(({ outcome }) => outcome)).toEqual(['one', 'two', 'three']);
    expect(await verify()).toEqual([]);
  });

  it('goes on with its chain within one transaction', async () => {
    await test.vault.transaction(function* () {
      for (const outcome of ['one', 'two']) {
        yield* test.vault.audit.append({ actor: 'operator', action: 'login', outcome });
      }
    });
    expect(await verify()).toEqual([]);
  });

  it('is part of the transaction it tells of', async () => {
    const failing = test.vault.transaction(function* () {
      yield* test.vault.audit.append({ actor: 'operator', action: 'login', outcome: 'ok' });
      throw new RangeError('changed my mind');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await rowsOf(test.vault.owner)).toEqual([]);
    await append('after');
    expect(await verify()).toEqual([]);
  });

  it('is one chain for all processes', async () => {
    const other = await test.openAgain();
    await Promise.all([append('mine'), append('theirs', other), append('mine'), append('theirs', other)]);
    const rows = [...(await rowsOf(test.vault.owner)), ...(await rowsOf(other.owner))];
    expect(rows.map(({ sequence }) => sequence).sort()).toEqual([1, 2, 3, 4]);
    expect(await verify()).toEqual([]);
  });

  it('keeps what is no Unicode in a form that comes back the same', async () => {
    await append('a lone \ud800 surrogate and a \0');
    await test.vault.transaction(() =>
      test.vault.audit.append({ actor: 'operator', action: 'x', outcome: 'ok', detail: { text: '\udfff' } }),
    );
    expect(await verify()).toEqual([]);
  });

  it('takes three statements a record, and one more for each further one', async () => {
    const statements: string[] = [];
    const record = { actor: 'operator', action: 'token', outcome: 'ok' };
    await test.vault.transaction(function* () {
      const steps = test.vault.audit.appendAll([record, record]);
      let turn = steps.next();
      while (!turn.done) {
        statements.push(turn.value.sql.trim().split(' ')[0] as string);
        turn = steps.next(yield turn.value);
      }
    });
    expect(statements).toEqual(['SELECT', 'INSERT', 'INSERT', 'UPDATE']);
  });

  it('changes nothing that is remembered of the vault', async () => {
    const before = test.vault.changes();
    await append('ok');
    expect(test.vault.changes()).toBe(before);
  });

  it('goes on where a writer of the same name stopped', async () => {
    await append('before');
    const audit = createAudit(test.vault.sealer, test.clock, test.vault.owner);
    await test.vault.transaction(() =>
      audit.append({ actor: 'operator', action: 'login', outcome: 'after' }),
    );
    expect(await rowsOf(test.vault.owner)).toHaveLength(2);
    expect(await verify()).toEqual([]);
  });
});

describe('checking the audit trail', () => {
  it('takes no harm from a daemon that removes and writes rows meanwhile', async () => {
    const { vault, clock } = test;
    const record = { actor: 'operator', action: 'token', outcome: 'ok' };
    await vault.transaction(() => vault.audit.appendAll(Array.from({ length: 3500 }, () => record)));
    clock.jump(10);
    const meanwhile: Promise<unknown>[] = [];
    const onProgress = () => {
      for (let batch = 0; batch < 2 && meanwhile.length < 4; batch += 1) {
        meanwhile.push(vault.transaction(() => removeOldest(vault.sealer.mac, clock.now(), clock.now())));
        meanwhile.push(vault.transaction(() => vault.audit.append(record)));
      }
    };
    const found = await verifyAudit(vault, vault.sealer.mac, { onProgress });
    await Promise.all(meanwhile);
    // The first page, and what two batches left.
    expect(found).toMatchObject({
      faultCount: 0,
      rows: 1000 + 1502,
      head: { removed: 2000, sequence: 3502 },
    });
  });

  it('finds a row of another history, written as that row after the same beginning', async () => {
    const { vault } = test;
    await append('before');
    const [head] = await vault.run(() => query<Record<string, Value>>('SELECT * FROM audit_head'));
    for (const outcome of ['one', 'two']) await append(outcome);
    const [, row] = await rowsOf(vault.owner);
    // An old copy is put back, and something else happens.
    await vault.run(() => query('DELETE FROM audit WHERE sequence > 1'));
    const { sequence, mac, seal } = head as Record<'sequence' | 'mac' | 'seal', Value>;
    await vault.run(() =>
      query('UPDATE audit_head SET sequence = ?, mac = ?, seal = ?', sequence, mac, seal),
    );
    for (const outcome of ['another', 'one more']) await append(outcome);
    expect(await verify()).toEqual([]);
    const { outcome, mac: genuine } = row as Row;
    await vault.run(() =>
      query('UPDATE audit SET outcome = ?, mac = ? WHERE sequence = 2', outcome, genuine),
    );
    expect(await verify()).toEqual(['edited 3']);
  });
});

describe('reading the audit trail', () => {
  /** How SQLite goes about a statement. */
  async function planOf(steps: Steps<unknown>): Promise<string> {
    const { sql, parameters } = steps.next().value as Statement;
    const plan = await test.vault.run(() =>
      query<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, ...parameters),
    );
    return plan.map(({ detail }) => detail).join('; ');
  }

  const place = { at: '5', sequence: '5' };

  it.each(['newest', 'oldest'] as const)(
    'goes along the index of times, the %s first, and sorts nothing',
    async (order) => {
      const filter = { since: 1, until: 9, actor: 'agent:ci', connection: 'coda' };
      for (const range of [
        { upTo: '9' },
        { upTo: '9', beyond: place },
        { upTo: '9', from: place, beyond: place },
      ]) {
        const plan = await planOf(auditByTime(order, filter, range, 10));
        expect(plan).toMatch(/^SEARCH audit USING INDEX audit_by_time/);
        expect(plan).not.toContain('TEMP B-TREE');
      }
    },
  );

  it('goes along the chain in its own order', async () => {
    for (const after of [undefined, '5']) {
      const plan = await planOf(auditAfter(after, 10));
      expect(plan).toMatch(/^(SCAN|SEARCH) audit USING INDEX sqlite_autoindex_audit_1/);
      expect(plan).not.toContain('TEMP B-TREE');
    }
  });

  it('finds the end of the chain without a walk', async () => {
    expect(await planOf(newestSequence())).toMatch(/^SEARCH audit USING COVERING INDEX/);
  });
});
