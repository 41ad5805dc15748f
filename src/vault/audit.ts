/**
 * The audit trail: append-only rows in one chain (`audit-chain.ts`), written by every process of the vault.
 *
 * A record made as part of a transaction is on disk exactly when that transaction is, and so is the head that answers
 * for it. Where somebody interfered, the broker goes on writing: the trail tells of it, and nobody is kept from a token.
 */
import type { Clock } from '../clock.ts';
import { type Mac, macOfRow, readEnd, writeHead } from './audit-chain.ts';
import { query, type Steps } from './database.ts';
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
  /** The statements that append one record. Put them into the transaction they tell of. */
  append(record: AuditRecord): Steps<void>;
  /** The same for several, in order. */
  appendAll(records: readonly AuditRecord[]): Steps<void>;
}

/** The audit trail, written as `writer`. */
export function createAudit(sealer: Pick<Sealer, 'mac'>, clock: Clock, writer: string): Audit {
  const mac: Mac = (text) => sealer.mac(text);

  function* appendAll(records: readonly AuditRecord[]): Steps<void> {
    if (records.length === 0) return;
    const { head, last } = yield* readEnd(mac);
    const at = Math.floor(clock.now());
    let sequence = Math.max(head?.sequence ?? 0, last);
    let previous = head?.mac ?? '';
    for (const record of records) {
      sequence += 1;
      const row = { sequence, writer, at, ...toColumns(record) };
      previous = macOfRow(mac, previous, row);
      yield* query(
        'INSERT INTO audit (sequence, writer, at, actor, action, connection, outcome, detail, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        ...[sequence, writer, at, row.actor, row.action, row.connection, row.outcome, row.detail, previous],
      );
    }
    if (head) yield* writeHead(mac, { ...head, sequence, mac: previous });
  }

  return { append: (record) => appendAll([record]), appendAll };
}

/** As the database gives it back: what is no Unicode would come back as something else, and look edited. */
function toColumns({ actor, action, connection, outcome, detail }: AuditRecord) {
  return {
    actor: actor.toWellFormed(),
    action: action.toWellFormed(),
    connection: connection?.toWellFormed() ?? null,
    outcome: outcome.toWellFormed(),
    detail: JSON.stringify(detail ?? {}),
  };
}
