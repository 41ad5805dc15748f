/**
 * The audit trail: append-only rows, chained per writer.
 *
 * Each row's MAC covers the row and the MAC before it, and `audit_heads` remembers how long the chain is, in
 * the same transaction. Editing, removing, reordering or cutting off rows therefore shows. A record made as
 * part of a transaction is on disk exactly when that transaction is.
 */
import type { Clock } from '../clock.ts';
import { first, query, type Steps } from './database.ts';
import type { Sealer } from './seal.ts';

export interface AuditRecord {
  /** `operator`, `agent:NAME`, `scheduler` or `address:IP`. */
  actor: string;
  /** What was tried: `login`, `refresh`, `logout`, `token`, `agent.add`, … */
  action: string;
  connection?: string | undefined;
  /** `ok`, or the code of the refusal or failure. */
  outcome: string;
  /** Further facts. Never a secret; tokens only as fingerprints. */
  detail?: Record<string, string | number | boolean | null>;
}

export interface Audit {
  /** The statements that append one record to this process's chain. Put them into the transaction they tell of. */
  append(record: AuditRecord): Steps<void>;
  /** The same for several, in order. */
  appendAll(records: readonly AuditRecord[]): Steps<void>;
}

/** The audit trail of one process; `writer` names its chain. */
export function createAudit(sealer: Sealer, clock: Clock, writer: string): Audit {
  function* appendAll(records: readonly AuditRecord[]): Steps<void> {
    if (records.length === 0) return;
    const head = yield* first<Head>('SELECT sequence, mac FROM audit_heads WHERE writer = ?', writer);
    let { sequence, mac } = head ?? { sequence: 0, mac: '' };
    const at = clock.now();
    for (const record of records) {
      sequence += 1;
      const connection = record.connection ?? null;
      const detail = JSON.stringify(record.detail ?? {});
      const fields = [writer, sequence, at, record.actor, record.action, connection, record.outcome, detail];
      mac = sealer.mac(JSON.stringify([mac, ...fields]));
      yield* query(
        'INSERT INTO audit (writer, sequence, at, actor, action, connection, outcome, detail, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        ...fields,
        mac,
      );
    }
    yield* query(
      'INSERT INTO audit_heads (writer, sequence, mac) VALUES (?, ?, ?) ON CONFLICT (writer) DO UPDATE SET sequence = excluded.sequence, mac = excluded.mac',
      ...[writer, sequence, mac],
    );
  }

  return { append: (record) => appendAll([record]), appendAll };
}

interface Head {
  sequence: number;
  mac: string;
}
