/**
 * What has become of logins that were begun for somebody else, and the end of those nobody wants any more.
 *
 * An agent hears of those whose connections it may use, whoever began them; all others are not there for it. The link
 * itself is told once, to whoever made it.
 */
import { BrokerError } from '../errors.ts';
import { SAVE_MS } from '../vault/logins.ts';
import { cancelLogin, findWebLogin, findWebLogins, isCancelled, type WebLogin } from '../vault/web-logins.ts';
import { isVisible } from './access.ts';
import { requireAdmin } from './admin.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { leaseOf, withLease } from './lease.ts';

/** How a login stands. Kept for an hour after its end. */
export interface WebLoginView {
  id: string;
  status: 'pending' | 'connected' | 'failed' | 'expired' | 'cancelled';
  connection: string;
  /** Who signed in, where the server tells. */
  account?: string;
  error?: { code: string; message: string };
  /** When the link ends, RFC 3339. */
  expires_at: string;
}

/** All the caller may know of, those first whose links end last. Throws `forbidden`. */
export async function listWebLogins(context: Context, caller: Caller): Promise<WebLoginView[]> {
  await requireAdmin(context, caller, 'login.list');
  const now = context.clock.now();
  const logins = await context.vault.run(() => findWebLogins(now));
  return logins.filter(({ connection }) => isVisible(caller, connection)).map((login) => view(login, now));
}

/** Throws `forbidden`, `not_found`. */
export async function showWebLogin(context: Context, caller: Caller, id: string): Promise<WebLoginView> {
  await requireAdmin(context, caller, 'login.show');
  return view(await requireLogin(context, caller, id), context.clock.now());
}

/**
 * When it returns, nothing more comes of this link. What it connected before stays connected.
 *
 * Throws `forbidden`, `not_found`, `upstream_unavailable`.
 */
export async function cancelWebLogin(context: Context, caller: Caller, id: string): Promise<void> {
  const action = 'login.cancel';
  await requireAdmin(context, caller, action);
  const { connection } = await requireLogin(context, caller, id);
  const { vault, clock } = context;
  const login = await vault.transaction(function* () {
    const now = clock.now();
    if (yield* cancelLogin(id, now)) {
      const detail = { login: id };
      yield* vault.audit.append({ actor: actorOf(caller), action, connection, outcome: 'ok', detail });
    }
    return yield* findWebLogin(id, now);
  });
  // Its person came back first: whoever finishes it holds the lease until it has its end.
  if (login && statusOf(login, clock.now()).status === 'pending')
    await withLease(context, leaseOf(connection), async () => {});
}

async function requireLogin({ vault, clock }: Context, caller: Caller, id: string): Promise<WebLogin> {
  const login = await vault.run(() => findWebLogin(id, clock.now()));
  if (login && isVisible(caller, login.connection)) return login;
  throw new BrokerError('not_found', 'there is no such login', {
    hint: 'logins are told of for an hour after their end; GET /v1/connections tells what is connected',
  });
}

function view(login: WebLogin, now: number): WebLoginView {
  const { id, connection, accountIdentity, expiresAt } = login;
  return {
    ...{ id, ...statusOf(login, now), connection },
    ...(accountIdentity === null ? {} : { account: accountIdentity }),
    expires_at: timestamp(expiresAt),
  };
}

/** A login that was used and has no end after all this time belonged to a process that was killed. */
const INTERRUPTED = { code: 'interrupted', message: 'the broker was stopped while it finished the login' };

function statusOf(login: WebLogin, now: number): Pick<WebLoginView, 'status' | 'error'> {
  const { usedAt, endedAt, expiresAt, error } = login;
  if (isCancelled(login)) return { status: 'cancelled' };
  if (endedAt !== null) return error === null ? { status: 'connected' } : { status: 'failed', error };
  if (usedAt !== null)
    return usedAt + SAVE_MS > now ? { status: 'pending' } : { status: 'failed', error: INTERRUPTED };
  return { status: expiresAt > now ? 'pending' : 'expired' };
}
