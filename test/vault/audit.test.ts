import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAudit } from '../../src/vault/audit.ts';
import { query } from '../../src/vault/database.ts';
import type { Vault } from '../../src/vault/index.ts';
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

const change = (sql: string, ...parameters: (string | number)[]) =>
  test.vault.run(() => query(sql, ...parameters));

/** What is wrong with a writer's chain, recomputed from nothing but the rows, their head and the audit key. */
async function verify({ sealer, owner }: Vault = test.vault): Promise<string | undefined> {
  let previous = { mac: '', sequence: 0 };
  for (const row of await rowsOf(owner)) {
    if (row.sequence !== previous.sequence + 1) return `gap before ${row.sequence}`;
    const { writer, sequence, at, actor, action, connection, outcome, detail, mac } = row;
    const fields = [previous.mac, writer, sequence, at, actor, action, connection, outcome, detail];
    if (sealer.mac(JSON.stringify(fields)) !== mac) return `forged at ${sequence}`;
    previous = row;
  }
  const [head] = await test.vault.run(() =>
    query<{ sequence: number; mac: string }>('SELECT sequence, mac FROM audit_heads WHERE writer = ?', owner),
  );
  if (head && (head.sequence !== previous.sequence || head.mac !== previous.mac)) return 'tail cut off';
  return undefined;
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
    expect(await verify()).toBeUndefined();
  });

  it('goes on with its chain within one transaction', async () => {
    await test.vault.transaction(function* () {
      for (const outcome of ['one', 'two']) {
        yield* test.vault.audit.append({ actor: 'operator', action: 'login', outcome });
      }
    });
    expect(await verify()).toBeUndefined();
  });

  it('is part of the transaction it tells of', async () => {
    const failing = test.vault.transaction(function* () {
      yield* test.vault.audit.append({ actor: 'operator', action: 'login', outcome: 'ok' });
      throw new RangeError('changed my mind');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await rowsOf(test.vault.owner)).toEqual([]);
    await append('after');
    expect(await verify()).toBeUndefined();
  });

  it('is one chain per process', async () => {
    const other = await test.openAgain();
    await Promise.all([append('mine'), append('theirs', other), append('mine'), append('theirs', other)]);
    for (const vault of [test.vault, other]) {
      expect(await rowsOf(vault.owner)).toHaveLength(2);
      expect(await verify(vault)).toBeUndefined();
    }
  });

  it('goes on where a writer of the same name stopped', async () => {
    await append('before');
    const audit = createAudit(test.vault.sealer, test.clock, test.vault.owner);
    await test.vault.transaction(() =>
      audit.append({ actor: 'operator', action: 'login', outcome: 'after' }),
    );
    expect(await rowsOf(test.vault.owner)).toHaveLength(2);
    expect(await verify()).toBeUndefined();
  });
});

describe('a change to the audit trail from outside', () => {
  beforeEach(async () => {
    for (const outcome of ['one', 'two', 'three']) await append(outcome);
  });

  it.each([
    ['an edited outcome', "UPDATE audit SET outcome = 'ok' WHERE sequence = 2", 'forged at 2'],
    ['an edited time', 'UPDATE audit SET at = at + 1 WHERE sequence = 3', 'forged at 3'],
    ['an edited actor', "UPDATE audit SET actor = 'agent:ci' WHERE sequence = 1", 'forged at 1'],
    ['an edited connection', "UPDATE audit SET connection = 'x' WHERE sequence = 1", 'forged at 1'],
    ['an edited detail', `UPDATE audit SET detail = '{"a":1}' WHERE sequence = 1`, 'forged at 1'],
    ['a removed row', 'DELETE FROM audit WHERE sequence = 2', 'gap before 3'],
    ['a removed beginning', 'DELETE FROM audit WHERE sequence = 1', 'gap before 2'],
    ['a cut tail', 'DELETE FROM audit WHERE sequence = 3', 'tail cut off'],
    ['a chain that is gone altogether', 'DELETE FROM audit', 'tail cut off'],
  ])('shows: %s', async (_, sql, fault) => {
    await change(sql);
    expect(await verify()).toBe(fault);
  });

  it('shows: rows in another order', async () => {
    await change('UPDATE audit SET sequence = -1 WHERE sequence = 1');
    await change('UPDATE audit SET sequence = 1 WHERE sequence = 2');
    await change('UPDATE audit SET sequence = 2 WHERE sequence = -1');
    expect(await verify()).toBe('forged at 1');
  });

  it('shows: a row of another process put into the chain', async () => {
    const other = await test.openAgain();
    for (const outcome of ['x', 'y', 'z', 'foreign']) await append(outcome, other);
    await change('UPDATE audit SET writer = ? WHERE sequence = 4', test.vault.owner);
    expect(await verify()).toBe('forged at 4');
  });
});
