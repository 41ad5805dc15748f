/**
 * Signing in with a browser, on this machine or another: the person is sent to the authorization server and comes
 * back with a code, by our listener or by a pasted address.
 *
 * What must survive until then is in the vault, found by the `state` that comes back. So an answer is taken even
 * when the terminal of that login is gone: by the next login of the same connection.
 */
import { randomUUID } from 'node:crypto';
import { type AuthorizationRequest, beginAuthorization, checkCallback } from '../oauth/authorization.ts';
import { abortable } from '../oauth/http.ts';
import type { LoopbackListener } from '../oauth/loopback.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { reached } from '../steps.ts';
import { findClient, insertClient, openClient } from '../vault/clients.ts';
import type { Steps } from '../vault/database.ts';
import {
  deleteLogin,
  findLogin,
  insertLogin,
  type LoginRow,
  latestWaiting,
  openLogin,
} from '../vault/logins.ts';
import type { Context } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { awaitAnswer, failurePage, inputEnded, type LoginAnswer } from './login-answer.ts';
import { type ConnectedEvent, HANGUP, type LoginHooks } from './login-events.ts';
import { finishByCode, type LoginPlan } from './login-finish.ts';

/** @param listener undefined: nobody listens, the answer can only be pasted */
export async function signInByRedirect(
  context: Context,
  plan: LoginPlan,
  listener: LoopbackListener | undefined,
  hooks: LoginHooks,
): Promise<ConnectedEvent> {
  const { metadata, client, settings, purpose, timeoutMs } = plan;
  const { pasted, notify, signal } = hooks;
  const begun = await beginAuthorization({
    ...{ metadata, client, settings },
    resource: purpose.resource,
    scope: purpose.scope,
    fetch: abortable(context.fetchFor(settings.network), signal),
  });
  await tellOfOthers(context, purpose.connection, notify);
  const { id: loginId } = await remember(context, plan, begun);
  let isLeftOpen = false;
  try {
    hooks.onEvent({ event: 'authorization_url', url: begun.url, redirect_uri: client.redirectUri });
    const sources = { listener, pasted, notify, clock: context.clock, timeoutMs, signal };
    const bare = listener === undefined ? bareCode(begun, metadata) : undefined;
    const answer = await awaitAnswer(sources, (parameters) => recognise(context, plan, parameters), bare);
    if (!answer) {
      isLeftOpen = true;
      throw inputEnded(purpose.connection, timeoutMs);
    }
    reached('login.answered');
    // The lease comes before the code is spent: what waiting for it could cost must not exist yet.
    const end = () =>
      withLease(context, leaseOf(purpose.connection), () => finishByCode(context, answer, timeoutMs));
    return await showing(answer, end);
  } finally {
    // It dies by itself too; what failed before must not be hidden by this.
    if (!isLeftOpen && signal?.reason !== HANGUP)
      await context.vault.transaction(() => deleteLogin(loginId)).catch(() => {});
  }
}

/**
 * Writes down what must survive until the person is back.
 *
 * @param begunBy actor that began a login whose answer the daemon takes
 * @param alongside further statements of the same transaction
 */
export async function remember(
  { vault, clock }: Context,
  { client, purpose, timeoutMs }: LoginPlan,
  { state, codeVerifier }: AuthorizationRequest,
  begunBy?: string,
  alongside?: (id: string) => Steps<void>,
): Promise<{ id: string; expiresAt: number }> {
  const id = randomUUID();
  const now = clock.now();
  const { rowId: clientRowId, issuer, redirectUri } = client;
  const pending = {
    ...{ id, purpose, clientRowId, issuer, redirectUri, state, codeVerifier, begunBy },
    expiresAt: now + timeoutMs,
  };
  const insert = await insertLogin(vault.sealer, pending, now);
  const insertAgain = await insertClient(vault.sealer, client);
  await vault.transaction(function* () {
    // A logout may have taken away the client since it was read.
    if (!(yield* findClient(client.rowId))) yield* insertAgain();
    if (alongside) yield* alongside(id);
    yield* insert();
  });
  reached('login.remembered');
  return pending;
}

async function tellOfOthers(
  { vault, clock }: Context,
  connection: string,
  notify: LoginHooks['notify'],
): Promise<void> {
  const until = await vault.run(() => latestWaiting(connection, clock.now()));
  if (until !== undefined)
    notify('another login of this connection is still waiting; its answer is taken here too');
}

/** The login that waits for this answer, here or begun before, and the answer once it is checked. */
async function recognise(
  context: Context,
  { purpose }: LoginPlan,
  parameters: URLSearchParams,
): Promise<Omit<LoginAnswer, 'show'> | undefined> {
  const state = parameters.get('state');
  if (state === null) return undefined;
  const row = await context.vault.run(() => findLogin(purpose.connection, state));
  return row && readAnswer(context, row, parameters);
}

/**
 * The answer to this login, once it is checked. Undefined: it is none. Throws what `checkCallback` throws for one that
 * is bad.
 */
export async function readAnswer(
  { vault }: Pick<Context, 'vault'>,
  row: LoginRow,
  parameters: URLSearchParams,
): Promise<Omit<LoginAnswer, 'show'> | undefined> {
  const clientRow = await vault.run(() => findClient(row.client_row_id));
  if (!clientRow) return undefined;
  const login = await openLogin(vault.sealer, row);
  const client = await openClient(vault.sealer, clientRow);
  const metadata = client.serverMetadata as unknown as ServerMetadata;
  const callback = checkCallback(parameters, login.state, metadata);
  return callback.kind === 'foreign'
    ? undefined
    : { login, client, metadata, parameters: callback.parameters };
}

/** A bare code as the answer to this login; never where the server says which answers are its own. */
function bareCode(begun: AuthorizationRequest, metadata: ServerMetadata) {
  if (metadata.authorization_response_iss_parameter_supported === true) return undefined;
  return (code: string) => new URLSearchParams({ code, state: begun.state.reveal() });
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
