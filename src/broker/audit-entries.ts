/** Reading the audit trail: what happened, a page at a time, and what happens next. */
import { isAgentName, isConnectionPattern, matchesPattern } from '../core/names.ts';
import { BrokerError } from '../errors.ts';
import {
  type AuditFilter,
  type AuditRow,
  auditAfter,
  auditByTime,
  type Cursor,
  newestSequence,
  type TimeRange,
} from '../vault/audit-read.ts';
import type { Context } from './context.ts';

/** Which entries. What is undefined is any. */
export interface AuditQuery {
  /** From then on, epoch ms. */
  since?: number | undefined;
  /** Before then, epoch ms. */
  until?: number | undefined;
  /** Name of the agent that acted. */
  agent?: string | undefined;
  /** Name or pattern of connections, see `core/names.ts`. */
  connection?: string | undefined;
  action?: string | undefined;
  outcome?: string | undefined;
  /** At most so many, the newest. Undefined: all. */
  limit?: number | undefined;
}

export interface AuditEntry {
  /** RFC 3339 with milliseconds, UTC. What is no time is given as it stands. */
  at: string;
  sequence: number;
  /** The process that wrote it. */
  writer: string;
  actor: string;
  action: string;
  connection?: string;
  outcome: string;
  detail: Record<string, unknown>;
}

export interface AuditListing {
  entries: AsyncGenerator<AuditEntry>;
  /** Whether the limit left out older ones. */
  isCut: boolean;
  /** The row written last when this was asked. */
  upTo: string;
}

const PAGE = 500;
/** How often others are looked at: in time for a person, at no cost to speak of. */
const POLL_MS = 200;

type Parts = Pick<Context, 'vault' | 'clock'>;

/** What happened, by time; what happened at the same instant as it was written. Nothing is held in memory but a page. */
export async function listEntries({ vault }: Parts, query: AuditQuery): Promise<AuditListing> {
  const filter = filterOf(query);
  const upTo = await vault.run(() => newestSequence());
  const begin = query.limit === undefined ? undefined : await findBegin(vault, query, filter, upTo);
  const rows = readPages(vault, 'oldest', filter, { from: begin?.from, upTo });
  return { entries: matching(rows, query), isCut: begin?.isCut ?? false, upTo };
}

/** What happens from here on. Ends when aborted. */
export async function* follow(
  { vault, clock }: Parts,
  query: AuditQuery,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<AuditEntry> {
  const filter = filterOf(query);
  let seen: number | undefined;
  let place = after;
  while (!signal.aborted) {
    const version = vault.foreignVersion();
    if (version !== seen) {
      seen = version;
      const upTo = await vault.run(() => newestSequence());
      for await (const row of readPagesAfter(vault, place, filter)) {
        if (isWanted(row, query)) yield toEntry(row);
        if (signal.aborted) return;
        place = row.sequence;
      }
      if (Number(upTo) > Number(place)) place = upTo;
    }
    await clock.wait(POLL_MS, signal).catch(() => {});
  }
}

/** Where the newest `limit` begin, found from the end. */
async function findBegin(
  vault: Parts['vault'],
  query: AuditQuery,
  filter: AuditFilter,
  upTo: string,
): Promise<{ from: Cursor | undefined; isCut: boolean }> {
  let from: Cursor | undefined;
  let count = 0;
  for await (const row of readPages(vault, 'newest', filter, { upTo })) {
    if (!isWanted(row, query)) continue;
    if (count === query.limit) return { from, isCut: true };
    count += 1;
    from = row;
  }
  return { from, isCut: false };
}

async function* readPages(
  vault: Parts['vault'],
  order: 'newest' | 'oldest',
  filter: AuditFilter,
  range: TimeRange,
): AsyncGenerator<AuditRow> {
  for (let beyond: Cursor | undefined; ; ) {
    const page = await vault.run(() => auditByTime(order, filter, { ...range, beyond }, PAGE));
    yield* page;
    const last = page.at(-1);
    if (page.length < PAGE || last?.sequence === beyond?.sequence) return;
    beyond = last;
  }
}

async function* readPagesAfter(
  vault: Parts['vault'],
  after: string,
  filter: AuditFilter,
): AsyncGenerator<AuditRow> {
  for (let place = after; ; ) {
    const page = await vault.run(() => auditAfter(place, PAGE, filter));
    yield* page;
    const last = page.at(-1)?.sequence;
    if (page.length < PAGE || last === undefined || last === place) return;
    place = last;
  }
}

async function* matching(rows: AsyncGenerator<AuditRow>, query: AuditQuery): AsyncGenerator<AuditEntry> {
  for await (const row of rows) if (isWanted(row, query)) yield toEntry(row);
}

/** What the database can choose by itself. Throws `usage`. */
function filterOf({ agent, connection, ...rest }: AuditQuery): AuditFilter {
  if (agent !== undefined && !isAgentName(agent)) {
    throw new BrokerError('usage', `"${agent}" is not an agent name`, {
      hint: 'broker agent list shows all there are; --agent crm means the actor agent:crm',
    });
  }
  if (connection !== undefined && !isConnectionPattern(connection)) {
    throw new BrokerError('usage', `"${connection}" is not a connection name or pattern`, {
      hint: 'such as coda, notion@alice, or notion@* for all accounts of notion',
    });
  }
  const isPattern = connection?.includes('*') ?? false;
  const { since, until, action, outcome } = rest;
  return {
    ...{ since, until, action, outcome },
    actor: agent === undefined ? undefined : `agent:${agent}`,
    connection: isPattern ? undefined : connection,
    hasConnection: isPattern,
  };
}

function isWanted(row: AuditRow, { connection }: AuditQuery): boolean {
  return connection === undefined || matchesPattern(connection, String(row.connection));
}

function toEntry(row: AuditRow): AuditEntry {
  return {
    at: instantOf(row.at),
    sequence: Number(row.sequence),
    writer: String(row.writer),
    actor: String(row.actor),
    action: String(row.action),
    ...(row.connection === null ? {} : { connection: String(row.connection) }),
    outcome: String(row.outcome),
    detail: detailOf(row.detail),
  };
}

/** The latest and the earliest instant there is to JavaScript, epoch ms. */
const MOST_MS = 8.64e15;

/** RFC 3339 with milliseconds, UTC; what is no time as it stands. */
export function instantOf(at: string | number): string {
  const ms = at === '' ? Number.NaN : Number(at);
  return Math.abs(ms) <= MOST_MS ? new Date(ms).toISOString() : String(at);
}

function detailOf(text: string): Record<string, unknown> {
  try {
    const detail: unknown = JSON.parse(text);
    if (typeof detail === 'object' && detail !== null && !Array.isArray(detail))
      return detail as Record<string, unknown>;
  } catch {
    // Somebody put it there: it is shown as it is.
  }
  return { unreadable: String(text) };
}
