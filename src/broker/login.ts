/**
 * A login, from a URL to a stored connection. The journey reads from top to bottom in `login`.
 *
 * A login that fails changes nothing: an existing credential is replaced only by one that was answered and
 * saved, and its name, policy and agents stay.
 */
import {
  DEFAULT_SETTINGS,
  requirePossible,
  type SettingsWishes,
  wishedSettings,
} from '../core/server-settings.ts';
import { chooseScope } from '../oauth/authorization.ts';
import { readClientKey } from '../oauth/client-key.ts';
import type { LoopbackListener } from '../oauth/loopback.ts';
import type { Secret } from '../secret.ts';
import { findClient } from '../vault/clients.ts';
import { findConnection } from '../vault/connections.ts';
import { findServer } from '../vault/servers.ts';
import type { ClientWishes } from './client-wishes.ts';
import type { Context } from './context.ts';
import { requireNoOther, whatIsPresent } from './kind-change.ts';
import { interrupted } from './login-answer.ts';
import { prepareClient } from './login-client.ts';
import { signInByDevice } from './login-device.ts';
import { type Discovered, discover } from './login-discovery.ts';
import type { ConnectedEvent, LoginHooks } from './login-events.ts';
import type { LoginPlan } from './login-finish.ts';
import { importRefreshToken } from './login-import.ts';
import { signInByRedirect } from './login-redirect.ts';
import { type LoginTarget, resolveTarget, type TargetWords } from './login-target.ts';

export interface LoginRequest extends TargetWords, ClientWishes, SettingsWishes {
  /** Asks for a code to be typed on another device, instead of a redirect (RFC 8628). */
  device?: boolean | undefined;
  /** A refresh token that another program was given: taken over instead of asking a person. */
  refreshToken?: Secret | undefined;
  /** The account the login must belong to. Kept for later logins of the connection. */
  expectedAccount?: string | undefined;
  /** Begins with what is usual instead of what earlier logins of the server left. */
  forgetSettings?: boolean | undefined;
  /** Default 15 minutes. */
  timeoutMs?: number | undefined;
}

/** A person may have to find a password, a phone and a colleague. */
export const DEFAULT_LOGIN_TIMEOUT_MS = 15 * 60_000;

/**
 * Signs in and stores the connection.
 *
 * Throws `usage`, `not_found`, the errors of discovery and registration, `port_in_use`, `login_denied`,
 * `login_refused`, `callback_invalid`, `account_mismatch`, `login_timeout`, `interrupted`, `upstream_unavailable`,
 * `save_failed`; for a token that is taken over also what a refresh throws.
 */
export async function login(
  context: Context,
  request: LoginRequest,
  hooks: LoginHooks,
): Promise<ConnectedEvent> {
  const { plan, listener } = await planLogin(context, request, hooks);
  try {
    const { clientId, source } = plan.client;
    hooks.onEvent({ event: 'registered', client_id: clientId, source });
    const connected = request.refreshToken
      ? await importRefreshToken(context, plan, request.refreshToken)
      : request.device
        ? await signInByDevice(context, plan, hooks)
        : await signInByRedirect(context, plan, listener, hooks);
    hooks.onEvent(connected);
    return connected;
  } finally {
    await listener?.close();
  }
}

/**
 * Finds out everything that has to be settled before a person is asked. Throws what comes before the answer: `usage`,
 * `not_found`, the errors of discovery and registration, `port_in_use`, `interrupted`, `upstream_unavailable`.
 */
export async function planLogin(
  context: Context,
  request: LoginRequest,
  hooks: LoginHooks,
): Promise<{ plan: LoginPlan; listener: LoopbackListener | undefined }> {
  // Until there is a code, giving up costs nothing; from then on the login is brought to its end.
  requirePossible(request);
  if (request.clientKey) readClientKey(request.clientKey);
  const interruptible = orInterrupted(hooks.signal);
  const target = await resolveTarget(context, request);
  const known = await whatIsKnown(context, target);
  requireNoOther(await whatIsPresent(context, target), target);
  const usual = { ...DEFAULT_SETTINGS, ...target.preset?.settings };
  const begins = known.isNew || request.forgetSettings ? usual : {};
  const wished = { ...begins, ...wishedSettings(request) };
  const settings = { ...known.settings, ...wished };

  const { url } = target;
  const { signal } = hooks;
  const byBrowser = !request.device && !request.refreshToken;
  const found = await interruptible(
    discover(context, url, settings, { knownIssuer: known.issuer, byBrowser, signal }),
  );
  const { metadata, resource, network } = found;
  const notes = target.preset?.notes ?? [];
  hooks.onEvent({
    event: 'discovered',
    issuer: metadata.issuer,
    resource,
    ...(notes.length === 0 ? {} : { notes }),
  });

  const wishes = { ...request, usesDevice: request.device === true };
  const ready = await interruptible(
    prepareClient(context, metadata, wishes, {
      ...{ network, existing: known.connection, ...hooks },
      needsClient: target.preset?.needsClient,
    }),
  );
  const { connection, server, account = null } = target;
  const plan = {
    client: ready.client,
    metadata,
    settings: { ...settings, network, ...(found.isIdentity ? NO_RESOURCE : {}) },
    timeoutMs: request.timeoutMs ?? DEFAULT_LOGIN_TIMEOUT_MS,
    purpose: {
      ...{ connection, server, account, url, resource },
      scope: chooseScope(settings.scopes, found.challengeScope, suggestedScopes(found), metadata),
      expectedAccount: request.expectedAccount ?? known.connection?.expectedAccount ?? null,
      settings: { ...wished, network, ...(found.isIdentity ? NO_RESOURCE : {}) },
    },
  };
  return { plan, listener: ready.listener };
}

/** An identity is for no resource in particular. */
const NO_RESOURCE = { resourceParameter: 'omit' } as const;

/** Who somebody is, where an OpenID provider is signed in to. */
const IDENTITY_SCOPES = ['openid', 'email', 'profile'];

function suggestedScopes({ isIdentity, scopesSupported, metadata }: Discovered): string[] | undefined {
  if (!isIdentity) return scopesSupported;
  return IDENTITY_SCOPES.filter((each) => metadata.scopes_supported?.includes(each));
}

/** What earlier logins left. */
async function whatIsKnown({ vault }: Context, { connection: name, server: serverName }: LoginTarget) {
  return vault.run(function* () {
    const connection = yield* findConnection(name);
    const server = yield* findServer(serverName);
    const client = connection?.clientRowId ? yield* findClient(connection.clientRowId) : undefined;
    return {
      connection,
      isNew: server === undefined,
      settings: server?.settings ?? DEFAULT_SETTINGS,
      issuer: client?.issuer,
    };
  });
}

/** Makes whatever a request fails with, once the person has given up, into that. */
function orInterrupted(signal: AbortSignal | undefined) {
  return async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw signal?.aborted ? interrupted() : error;
    }
  };
}
