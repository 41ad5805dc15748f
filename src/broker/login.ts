/**
 * A login, from a URL to a stored connection. The journey reads from top to bottom in `login`.
 *
 * A login that fails changes nothing: an existing credential is replaced only by one that was answered and
 * saved, and its name, policy and agents stay.
 */
import { randomUUID } from 'node:crypto';
import { type ServerSettings, type SettingsWishes, wishedSettings } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import {
  type AuthorizationRequest,
  beginAuthorization,
  chooseScope,
  redeemCode,
} from '../oauth/authorization.ts';
import { abortable } from '../oauth/http.ts';
import { discoverResource } from '../oauth/resource-discovery.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { reached } from '../steps.ts';
import { type Client, findClient, insertClient } from '../vault/clients.ts';
import { findConnection } from '../vault/connections.ts';
import { consumeLogin, deleteLogin, insertLogin } from '../vault/logins.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { awaitAnswer, failurePage, interrupted, type LoginAnswer, timedOut } from './login-answer.ts';
import { type ClientWishes, prepareClient } from './login-client.ts';
import { saveLogin } from './login-save.ts';
import { type LoginTarget, resolveTarget, type TargetWords } from './login-target.ts';
import { readTokens } from './login-tokens.ts';

export interface LoginRequest extends TargetWords, ClientWishes, SettingsWishes {
  /** Asked for instead of what the server suggests. */
  scopes: string[];
  /** Default 15 minutes. */
  timeoutMs?: number | undefined;
}

export interface LoginHooks {
  onEvent(event: LoginEvent): void;
  /** Something to tell the person, while the login goes on. */
  notify(message: string): void;
  /** Lines the person pastes. */
  pasted?: AsyncIterable<string> | undefined;
  signal?: AbortSignal | undefined;
}

/** What happens, in the words of `broker login --json`. */
export type LoginEvent =
  | { event: 'discovered'; issuer: string; resource: string }
  | { event: 'registered'; client_id: string; source: string }
  | { event: 'authorization_url'; url: string; redirect_uri: string }
  | ConnectedEvent;

export interface ConnectedEvent {
  event: 'connected';
  connection: string;
  account?: string;
  scope?: string;
  expires_in?: number;
  refresh_token: boolean;
  issuer: string;
  resource: string;
}

/** A person may have to find a password, a phone and a colleague. */
export const DEFAULT_LOGIN_TIMEOUT_MS = 15 * 60_000;

/**
 * Signs in and stores the connection.
 *
 * Throws `usage`, `not_found`, the errors of discovery and registration, `port_in_use`, `login_denied`,
 * `login_refused`, `callback_invalid`, `login_timeout`, `interrupted`, `upstream_unavailable`, `save_failed`.
 */
export async function login(
  context: Context,
  request: LoginRequest,
  hooks: LoginHooks,
): Promise<ConnectedEvent> {
  // Until there is a code, giving up costs nothing; from then on the login is brought to its end.
  const fetch = abortable(context.fetch, hooks.signal);
  const target = await resolveTarget(context, request);
  const existing = await context.vault.run(() => findConnection(target.connection));

  const interruptible = orInterrupted(hooks.signal);
  const protectedResource = await interruptible(discoverResource(target.url, fetch));
  const { resource } = protectedResource;
  const issuer = protectedResource.authorizationServers[0] as string;
  const metadata = await interruptible(context.metadata.discover(issuer, hooks.signal));
  hooks.onEvent({ event: 'discovered', issuer, resource });

  const { client, listener } = await interruptible(
    prepareClient({ ...context, fetch }, metadata, request, existing),
  );
  try {
    hooks.onEvent({ event: 'registered', client_id: client.clientId, source: client.source });
    const { challengeScope, scopesSupported } = protectedResource;
    const scope = chooseScope(request.scopes, challengeScope, scopesSupported, metadata);
    const { redirectUri } = client;
    const begun = await beginAuthorization({
      metadata,
      clientId: client.clientId,
      redirectUri,
      resource,
      scope,
    });
    const timeoutMs = request.timeoutMs ?? DEFAULT_LOGIN_TIMEOUT_MS;
    const loginId = await remember(context, target, client, begun, timeoutMs);
    try {
      hooks.onEvent({ event: 'authorization_url', url: begun.url, redirect_uri: redirectUri });
      const { pasted, notify, signal } = hooks;
      const sources = { listener, pasted, notify, clock: context.clock, timeoutMs, signal };
      const answer = await awaitAnswer(sources, begun.state, metadata);
      reached('login.answered');
      const finished = {
        target,
        metadata,
        client,
        begun,
        resource,
        scope,
        loginId,
        timeoutMs,
        settings: wishedSettings(request),
      };
      // The lease comes before the code is spent: what waiting for it could cost must not exist yet.
      const end = () =>
        withLease(context, leaseOf(target.connection), () => finish(context, finished, answer));
      const connected = await showing(answer, end);
      hooks.onEvent(connected);
      return connected;
    } finally {
      // It dies by itself too; what failed before must not be hidden by this.
      await context.vault.transaction(() => deleteLogin(loginId)).catch(() => {});
    }
  } finally {
    await listener.close();
  }
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

/** Writes down what must survive until the person is back. */
async function remember(
  { vault, clock }: Context,
  target: LoginTarget,
  client: Client,
  { state, codeVerifier }: AuthorizationRequest,
  timeoutMs: number,
): Promise<string> {
  const id = randomUUID();
  const now = clock.now();
  const insert = await insertLogin(
    vault.sealer,
    {
      id,
      connection: target.connection,
      clientRowId: client.rowId,
      issuer: client.issuer,
      redirectUri: client.redirectUri,
      state,
      codeVerifier,
      expiresAt: now + timeoutMs,
    },
    now,
  );
  const insertAgain = await insertClient(vault.sealer, client);
  await vault.transaction(function* () {
    // A logout may have taken away the client since it was read.
    if (!(yield* findClient(client.rowId))) yield* insertAgain();
    yield* insert();
  });
  reached('login.remembered');
  return id;
}

interface Finished {
  target: LoginTarget;
  metadata: ServerMetadata;
  client: Client;
  begun: AuthorizationRequest;
  resource: string;
  scope: string | undefined;
  loginId: string;
  timeoutMs: number;
  settings: Partial<ServerSettings>;
}

/** Redeems the code and saves what it brought, under the connection's lease. */
async function finish(
  context: Context,
  finished: Finished,
  { parameters }: LoginAnswer,
): Promise<ConnectedEvent> {
  const { vault, clock, fetch } = context;
  const { target, metadata, client, begun, resource, loginId } = finished;
  const consumed = await vault.transaction(() => consumeLogin(loginId, clock.now()));
  // The clock was set forward, or the machine slept.
  if (consumed === 'ended') throw timedOut(finished.timeoutMs);
  if (consumed === 'unknown')
    throw new BrokerError('callback_invalid', 'this login was used already', { hint: 'start it again' });
  reached('login.consumed');
  const answer = await redeemCode({
    metadata,
    client,
    parameters,
    state: begun.state,
    codeVerifier: begun.codeVerifier,
    redirectUri: client.redirectUri,
    resource,
    fetch,
    now: () => clock.now(),
  });
  reached('login.redeemed');
  const tokens = readTokens(answer, metadata, clock.now(), finished.scope);
  const { settings } = finished;
  const { connection, server, account = null, url } = target;
  const login = { connection, server, account, url, resource, settings, actor: actorOf(OPERATOR) };
  await saveLogin(context, { ...login, clientRowId: client.rowId, issuer: client.issuer }, tokens);
  return {
    event: 'connected',
    connection: target.connection,
    ...(tokens.accountIdentity === undefined ? {} : { account: tokens.accountIdentity }),
    ...(tokens.scope === undefined ? {} : { scope: tokens.scope }),
    ...(tokens.accessExpiresAt === undefined
      ? {}
      : { expires_in: Math.round((tokens.accessExpiresAt - tokens.receivedAt) / 1000) }),
    refresh_token: tokens.refreshToken !== undefined,
    issuer: metadata.issuer,
    resource,
  };
}

/** Runs the end of the login and lets the browser show how it went. */
async function showing(answer: LoginAnswer, end: () => Promise<ConnectedEvent>): Promise<ConnectedEvent> {
  try {
    const connected = await end();
    const whose = connected.account === undefined ? '' : ` as ${connected.account}`;
    answer.show({
      isSuccess: true,
      title: `${connected.connection} is connected${whose}`,
      text: 'You can close this page. The broker keeps the login; agents get fresh tokens from it.',
    });
    return connected;
  } catch (error) {
    answer.show(failurePage(error));
    throw error;
  }
}
