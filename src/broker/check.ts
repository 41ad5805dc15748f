/** Checks connections for cron and monitoring: what is wrong now or soon, and what mends it. */
import { type CheckCode, type Finding, findingFor } from '../core/check-policy.ts';
import { isRenewable } from '../core/connection.ts';
import { isAlive } from '../core/refresh-policy.ts';
import { BrokerError } from '../errors.ts';
import { findClient } from '../vault/clients.ts';
import type { StoredConnection } from '../vault/connections.ts';
import { findFor } from './access.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { freshenIdentity, withIdentity } from './identity.ts';

export interface CheckOptions {
  /** Spends one refresh per connection to prove that it works. Default false. */
  refresh?: boolean | undefined;
  /** Ends nearer than this are warned of. Default 14 days; the end of a client secret from 30 days at least. */
  warnWithinMs?: number | undefined;
}

export const DEFAULT_WARN_WITHIN_MS = 14 * 24 * 60 * 60_000;

/** A finding as shown, in JSON and over HTTP. */
export interface CheckView {
  connection: string;
  state: string;
  /** What `broker check` would exit with for this connection alone. */
  exit_code: CheckCode;
  message: string;
  next_step?: string;
  expires_at?: string;
}

/** Checks one connection. Throws `not_found`. */
export async function check(
  context: Context,
  caller: Caller,
  name: string,
  { refresh = false, warnWithinMs = DEFAULT_WARN_WITHIN_MS }: CheckOptions = {},
): Promise<CheckView> {
  const look = async () => withIdentity(context, await findFor(context, caller, name));
  const seen = await look();
  const current = refresh ? await refreshed(context, caller, seen, look) : seen;
  const row = current.clientRowId;
  const client = row === null ? undefined : await context.vault.run(() => findClient(row));
  const now = context.clock.now();
  return toView(current, findingFor(current, client?.client_secret_expires_at ?? null, now, warnWithinMs));
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

function toView(stored: StoredConnection, { code, message, nextStep }: Finding): CheckView {
  return {
    connection: stored.name,
    state: stored.state,
    exit_code: code,
    message,
    ...(nextStep === null ? {} : { next_step: nextStep }),
    ...(stored.accessExpiresAt === null ? {} : { expires_at: timestamp(stored.accessExpiresAt) }),
  };
}
