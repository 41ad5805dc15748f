/** Checks connections for cron and monitoring: what is wrong now or soon, and what mends it. */
import { type Finding, findingFor, isWorse } from '../core/check-policy.ts';
import type { CheckedConnection } from '../core/checked-connection.ts';
import { type Connection, isRenewable, type LastError } from '../core/connection.ts';
import { isStatic } from '../core/credential-kind.ts';
import { isAlive } from '../core/refresh-policy.ts';
import { BrokerError } from '../errors.ts';
import { findClient } from '../vault/clients.ts';
import type { StoredConnection } from '../vault/connections.ts';
import { findServer } from '../vault/servers.ts';
import { findFor } from './access.ts';
import { type AskProgram, type Probed, probeConnection } from './check-probe.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { freshenIdentity, withIdentity } from './identity.ts';

export interface CheckOptions {
  /** Spends one refresh per connection to prove that it works. Default false. */
  refresh?: boolean | undefined;
  /** Calls the server with the credential; how programs are asked. Default: nobody is asked. */
  probe?: AskProgram | undefined;
  /** Ends nearer than this are warned of. Default 14 days; the end of a client secret from 30 days at least. */
  warnWithinMs?: number | undefined;
}

export const DEFAULT_WARN_WITHIN_MS = 14 * 24 * 60 * 60_000;

/** A finding as shown, in JSON and over HTTP. */
export interface CheckView extends CheckedConnection {
  code?: string;
  cause?: string;
  next_attempt_at?: string;
  /** What went wrong last, also when all is well again. */
  last_error?: { code: string; at: string; cause?: string };
  probe?: ProbeView;
}

/** What a call of the server came to. */
export interface ProbeView {
  ok: boolean;
  /** HTTP status. Absent: no answer came, or it is a program. */
  status?: number;
  message: string;
}

/** Checks one connection. Throws `not_found`. */
export async function check(
  context: Context,
  caller: Caller,
  name: string,
  { refresh = false, probe, warnWithinMs = DEFAULT_WARN_WITHIN_MS }: CheckOptions = {},
): Promise<CheckView> {
  const look = async () => withIdentity(context, await findFor(context, caller, name));
  const seen = await look();
  const before = refresh ? await refreshed(context, caller, seen, look) : seen;
  const probed = probe && (await probeConnection(context, caller, name, probe));
  const current = probed ? await look() : before;
  const row = current.clientRowId;
  const { client, server } = await context.vault.run(function* () {
    return {
      client: row === null ? undefined : yield* findClient(row),
      server: yield* findServer(current.server),
    };
  });
  const now = context.clock.now();
  const secretEndsAt = client?.client_secret_expires_at ?? null;
  const idleLimitMs = server?.settings.idleLimitMs ?? null;
  const finding = findingFor(current, secretEndsAt, now, warnWithinMs, idleLimitMs);
  const worse = probed && isWorse(probed.code, finding.code) ? probed : finding;
  return {
    ...toView(current, worse),
    ...lifeOf(current, { secretEndsAt, idleLimitMs, now }),
    ...(probed ? { probe: probeView(probed) } : {}),
  };
}

/** A refused refresh is not an error here: the state it leaves behind is what the check reports. */
async function refreshed(
  context: Context,
  caller: Caller,
  stored: StoredConnection,
  look: () => Promise<StoredConnection>,
): Promise<StoredConnection> {
  if (!isRenewable(stored) && isAlive(stored, context.clock.now())) return stored;
  try {
    if (stored.kind === 'identity') await freshenIdentity(context, stored.name, actorOf(caller));
    await context.refresher.refresh(stored, actorOf(caller));
    return await look();
  } catch (error) {
    const current = await look();
    if (!(error instanceof BrokerError) || current.state === 'ok') throw error;
    return current;
  }
}

function toView(stored: Connection, { code, message, nextStep }: Finding | Probed): CheckView {
  return {
    connection: stored.name,
    state: stored.state,
    exit_code: code,
    message,
    ...(nextStep === null ? {} : { next_step: nextStep }),
    ...(stored.code === null ? {} : { code: stored.code }),
    ...(stored.cause === null ? {} : { cause: stored.cause }),
    ...instant('next_attempt_at', stored.nextAttemptAt),
    ...instant('expires_at', stored.accessExpiresAt),
    ...(isStatic(stored.kind) ? {} : instant('last_refreshed_at', stored.receivedAt)),
  };
}

/** What is known of the parts of a login, and of its last failure. */
function lifeOf(
  { refreshReceivedAt, refreshExpiresAt, lastError, hasRefreshToken }: Connection,
  {
    secretEndsAt,
    idleLimitMs,
    now,
  }: { secretEndsAt: number | null; idleLimitMs: number | null; now: number },
): Partial<CheckView> {
  const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000));
  return {
    ...(refreshReceivedAt === null ? {} : { refresh_token_age: seconds(now - refreshReceivedAt) }),
    ...(idleLimitMs === null || !hasRefreshToken ? {} : { refresh_token_idle_limit: seconds(idleLimitMs) }),
    ...instant('refresh_token_expires_at', refreshExpiresAt),
    ...instant('client_secret_expires_at', secretEndsAt),
    ...(lastError === null ? {} : { last_error: lastErrorView(lastError) }),
  };
}

function lastErrorView({ code, at, cause }: LastError): NonNullable<CheckView['last_error']> {
  return { code, at: timestamp(at), ...(cause === null ? {} : { cause }) };
}

function probeView({ code, status, message }: Probed): ProbeView {
  return { ok: code === 0, ...(status === undefined ? {} : { status }), message };
}

function instant<K extends keyof CheckView>(name: K, at: number | null): { [P in K]?: string } {
  return (at === null ? {} : { [name]: timestamp(at) }) as { [P in K]?: string };
}
