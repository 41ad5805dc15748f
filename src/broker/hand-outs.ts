/**
 * Tokens handed out, written down in batches.
 *
 * A synced write for each hand-out would make the disk the limit, so they go together, at most 100 ms late. A
 * SIGKILL can lose that much of the record; logins, refreshes and refusals are written before the answer.
 */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { markAgentUsed } from '../vault/agents.ts';
import type { AuditRecord } from '../vault/audit.ts';
import { markUsed } from '../vault/connections.ts';
import type { Steps } from '../vault/database.ts';
import type { Vault } from '../vault/index.ts';

const BATCH_MS = 100;

export interface HandOut {
  record: AuditRecord;
  connectionId: string;
  /** Undefined: handed to the operator. */
  agentName: string | undefined;
}

export interface HandOuts {
  add(handOut: HandOut): void;
  /** Writes what is waiting. Nothing may be added any more. */
  close(): Promise<void>;
}

/** Collects hand-outs and writes them together. */
export function createHandOuts(vault: Vault, clock: Clock, log: Log): HandOuts {
  let waiting: HandOut[] = [];
  let isScheduled = false;
  const closing = new AbortController();

  async function flush(): Promise<void> {
    const batch = waiting;
    waiting = [];
    if (batch.length > 0) await vault.transaction(() => write(vault, batch, clock.now()));
  }

  async function flushSoon(): Promise<void> {
    isScheduled = true;
    await clock.wait(BATCH_MS, closing.signal).catch(() => {});
    isScheduled = false;
    await flush().catch((error: unknown) =>
      log.error({ err: error }, 'the audit trail could not be written'),
    );
  }

  return {
    add(handOut) {
      waiting.push(handOut);
      if (!isScheduled) void flushSoon();
    },
    async close() {
      closing.abort();
      await flush();
    },
  };
}

function* write(vault: Vault, batch: HandOut[], now: number): Steps<void> {
  for (const { record } of batch) yield* vault.audit.append(record);
  for (const id of new Set(batch.map(({ connectionId }) => connectionId))) yield* markUsed(id, now);
  for (const name of new Set(batch.flatMap(({ agentName }) => agentName ?? [])))
    yield* markAgentUsed(name, now);
}
