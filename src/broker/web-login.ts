/**
 * Logins begun for somebody else: an agent that serves many people, or an operator, gets a link; whoever opens it signs
 * in, and comes back to the daemon instead of to a terminal.
 *
 * Nothing of it is in this process: the vault knows what was begun, and any daemon with the same public URL takes the
 * answer, also after a restart. What the link was begun for is all it can do: connection, account and scope are sealed
 * with it, and nothing that comes back changes them.
 */
import { formatConnectionName, parseConnectionName, requireConnectionName } from '../core/names.ts';
import { BrokerError } from '../errors.ts';
import { beginAuthorization, chooseScope } from '../oauth/authorization.ts';
import type { Steps } from '../vault/database.ts';
import { countWaiting } from '../vault/web-logins.ts';
import { requireAdmin, requireCovered } from './admin.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Caller, type Context } from './context.ts';
import { type LoginRequest, planLogin } from './login.ts';
import type { LoginHooks } from './login-events.ts';
import type { LoginPlan } from './login-finish.ts';
import { remember } from './login-redirect.ts';
import { resolveTarget } from './login-target.ts';
import { type CallbackAnswer, finishWebLogin } from './web-login-finish.ts';
import { cancelWebLogin, listWebLogins, showWebLogin, type WebLoginView } from './web-login-status.ts';

export interface WebLoginRequest extends LoginRequest {
  /** The daemon's, where the person comes back. Undefined: it has none. */
  redirectUri: string | undefined;
}

/** A login that waits for its person. */
export interface BegunLoginView {
  id: string;
  /** Where the person must go. Good for this one login. */
  authorization_url: string;
  /** RFC 3339. */
  expires_at: string;
}

export interface WebLogins {
  /**
   * Begins a login. What an agent asks for is for this login alone; what an operator chooses is kept with the server.
   *
   * Throws `forbidden` (no admin right, or not among what the agent may use), `config_error` (the daemon has no
   * redirect URI), `rate_limited` (too many wait), and what `planLogin` throws.
   */
  begin(
    caller: Caller,
    request: WebLoginRequest,
    hooks?: Pick<LoginHooks, 'onEvent' | 'notify'>,
  ): Promise<BegunLoginView>;
  /** Those that wait and those that ended within the hour, of connections the caller may use. Throws `forbidden`. */
  list(caller: Caller): Promise<WebLoginView[]>;
  /** How a login stands. Throws `forbidden`, `not_found`. */
  show(caller: Caller, id: string): Promise<WebLoginView>;
  /**
   * Ends the link of a login that waits: what comes back later is not used. One whose person is back already goes on to
   * its end, which is waited for; one that has ended stays as it is. Throws `forbidden`, `not_found`,
   * `upstream_unavailable` (another process does not come to its end with it).
   */
  cancel(caller: Caller, id: string): Promise<void>;
  /** Takes what a browser brought to `redirectUri`. Never throws: it is a page in any case. */
  finish(redirectUri: string | undefined, parameters: URLSearchParams): Promise<CallbackAnswer>;
  /** Resolves when no answer is being worked on. */
  idle(): Promise<void>;
}

/** More than people who sign in at one moment; fewer than could fill a disk. */
const MAX_WAITING = 100;

export function createWebLogins(context: Context): WebLogins {
  const finishing = new Set<Promise<unknown>>();
  const inTurn = createTurns();
  return {
    begin: (caller, request, hooks = { onEvent() {}, notify() {} }) =>
      begin(context, inTurn, caller, request, hooks),
    list: (caller) => listWebLogins(context, caller),
    show: (caller, id) => showWebLogin(context, caller, id),
    cancel: (caller, id) => cancelWebLogin(context, caller, id),
    finish(redirectUri, parameters) {
      const work = finishWebLogin(context, redirectUri, parameters);
      finishing.add(work);
      return work.finally(() => finishing.delete(work));
    },
    async idle() {
      await Promise.allSettled(finishing);
    },
  };
}

async function begin(
  context: Context,
  inTurn: Turns,
  caller: Caller,
  request: WebLoginRequest,
  hooks: LoginHooks,
): Promise<BegunLoginView> {
  const action = 'login.begin';
  await requireAdmin(context, caller, action);
  const { redirectUri } = request;
  if (redirectUri === undefined) throw nowhereToComeBack();
  const named = nameInWords(request);
  if (named !== undefined) {
    requireConnectionName(named);
    await requireCovered(context, caller, action, named);
  }
  const target = await resolveTarget(context, request);
  await requireCovered(context, caller, action, target.connection);
  await context.vault.run(() => requireRoom(context));

  const wanted = { ...request, redirectUri, isWeb: true };
  // Many who connect at once for the first time share one registration.
  const plan = await inTurn(target.url, () =>
    caller.kind === 'operator' ? planKept(context, wanted, hooks) : planOnce(context, wanted, hooks),
  );
  const { client, metadata, settings, purpose } = plan;
  hooks.onEvent({ event: 'registered', client_id: client.clientId, source: client.source });
  const begun = await beginAuthorization({
    ...{ metadata, client, settings },
    ...{ resource: purpose.resource, scope: purpose.scope, fetch: context.fetchFor(settings.network) },
  });
  const actor = actorOf(caller);
  const { id, expiresAt } = await remember(context, plan, begun, actor, function* (login): Steps<void> {
    yield* requireRoom(context);
    const detail = { login, issuer: client.issuer, redirect_uri: redirectUri };
    yield* context.vault.audit.append({
      ...{ actor, action, connection: purpose.connection, outcome: 'ok', detail },
    });
  });
  return { id, authorization_url: begun.url, expires_at: timestamp(expiresAt) };
}

type Turns = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Runs work of the same key one after the other. */
function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const mine = (last.get(key) ?? Promise.resolve()).then(work, work);
    last.set(key, mine);
    const forget = () => {
      if (last.get(key) === mine) last.delete(key);
    };
    mine.then(forget, forget);
    return mine;
  };
}

async function planKept(context: Context, wanted: LoginRequest, hooks: LoginHooks): Promise<LoginPlan> {
  return (await planLogin(context, wanted, hooks)).plan;
}

/** One person's scope must not become everybody's: it is not kept with the server. */
async function planOnce(
  context: Context,
  { scopes, ...wanted }: LoginRequest,
  hooks: LoginHooks,
): Promise<LoginPlan> {
  const plan = await planKept(context, wanted, hooks);
  if (scopes === undefined || scopes.length === 0) return plan;
  const scope = chooseScope(scopes, undefined, undefined, plan.metadata);
  return { ...plan, purpose: { ...plan.purpose, scope } };
}

/** The connection as far as it was named in words. Undefined: its URL decides. */
function nameInWords({ target, name, account }: LoginRequest): string | undefined {
  const words = parseConnectionName(target.includes('://') ? (name ?? '') : target);
  return words && formatConnectionName({ server: words.server, account: account ?? words.account });
}

function* requireRoom({ clock }: Pick<Context, 'clock'>): Steps<void> {
  const now = clock.now();
  const { count, firstEndsAt } = yield* countWaiting(now);
  if (count < MAX_WAITING) return;
  throw new BrokerError('rate_limited', `${count} logins wait for their people already`, {
    hint: 'begin again when some of them have come back or their links have ended',
    retryAfterSeconds: Math.max(1, Math.ceil((firstEndsAt - now) / 1000)),
  });
}

function nowhereToComeBack(): BrokerError {
  return new BrokerError('config_error', 'the daemon has no address that a browser could come back to', {
    hint: 'broker serve --public-url https://… (plain http only on this machine), or let it listen on 127.0.0.1',
  });
}
