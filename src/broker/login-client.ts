/**
 * Who we are at the authorization server, for a login: a client of earlier logins that still fits, else a new one;
 * and the listener on the redirect URI it has.
 *
 * The loopback port is drawn once, at the first registration, and kept with the client: many servers compare
 * the redirect URI to the letter.
 */
import { readRedirectUri } from '../core/redirect.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import type { Fetch } from '../oauth/http.ts';
import { abortable } from '../oauth/http.ts';
import type { Registration } from '../oauth/registration.ts';
import { readManaged, renewManaged } from '../oauth/registration-management.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { reached } from '../steps.ts';
import {
  type Client,
  findClient,
  findClientsByIssuer,
  insertClient,
  openClient,
  updateClient,
} from '../vault/clients.ts';
import {
  type ClientCircumstances,
  type ClientWishes,
  listenFor,
  offersDocument,
  type ReadyClient,
} from './client-wishes.ts';
import type { Context } from './context.ts';
import { makeClient } from './login-new-client.ts';

/** A secret that ends sooner is not worth another login: a new registration comes with a new one. */
const SECRET_MARGIN_MS = 30 * 24 * 60 * 60_000;

/**
 * Throws `port_in_use`, `registration_refused`, `upstream_unavailable`, `usage` for a redirect URI that cannot be, and
 * `config_error` for a client that cannot authenticate.
 */
export async function prepareClient(
  context: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  circumstances: ClientCircumstances,
): Promise<ReadyClient> {
  const fetch = abortable(context.fetchFor(circumstances.network), circumstances.signal);
  const { best, isFirst } = await findKnown(context, metadata, wishes, circumstances);
  const known = best && (await lookAfter(context, metadata, best, fetch));
  if (known) {
    // What cannot authenticate should be told before a person is asked, not after.
    clientAuth(known);
    return { client: known, listener: await listenFor(wishes, known.redirectUri) };
  }
  const all = { ...(await enteredBefore(context, metadata, circumstances)), ...withoutGaps(wishes) };
  const made = await makeClient(context, metadata, all, { ...circumstances, fetch, isFirst });
  try {
    const insert = await insertClient(context.vault.sealer, made.client);
    await context.vault.transaction(insert);
    reached('login.client-saved');
    return made;
  } catch (error) {
    await made.listener?.close();
    throw error;
  }
}

/** The client an operator has entered for this connection is never replaced by one of ours: it gets another redirect URI. */
async function enteredBefore(
  { vault }: Context,
  { issuer }: ServerMetadata,
  { existing }: ClientCircumstances,
): Promise<ClientWishes> {
  const rowId = existing?.clientRowId;
  const row = rowId ? await vault.run(() => findClient(rowId)) : undefined;
  if (row?.source !== 'configured' || row.issuer !== issuer) return {};
  const { clientId, clientSecret, clientKey } = await openClient(vault.sealer, row);
  return { clientId, clientSecret, clientKey };
}

/** The client of earlier logins that fits best, and whether none was registered at this issuer before. */
async function findKnown(
  { vault, clock }: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  { existing }: ClientCircumstances,
): Promise<{ best: Client | undefined; isFirst: boolean }> {
  const all = await vault.run(() => findClientsByIssuer(metadata.issuer));
  // A machine's client is redirected nowhere.
  const rows = all.filter((row) => row.redirect_uri !== '');
  const isRefused = existing?.state === 'client_invalid';
  const wishesDocument = offersDocument(wishes, metadata);
  const fitting = rows.filter(
    (row) =>
      fitsRedirect(wishes, row.redirect_uri) &&
      (row.is_web === 1) === (wishes.isWeb === true) &&
      (wishes.clientId === undefined ||
        (row.client_id === wishes.clientId && !wishes.clientSecret && !wishes.clientKey)) &&
      (wishes.authMethod === undefined || row.auth_method === wishes.authMethod) &&
      (row.client_secret_expires_at === null ||
        row.client_secret_expires_at - clock.now() > (row.registration_client_uri ? 0 : SECRET_MARGIN_MS)) &&
      (!wishesDocument || row.source === 'configured' || row.client_id === wishes.clientMetadataUrl) &&
      !(row.source === 'registered' && (wishes.reregister || (isRefused && row.id === existing.clientRowId))),
  );
  const chosen = fitting.find((row) => row.id === existing?.clientRowId) ?? fitting[0];
  return {
    best: chosen && (await openClient(vault.sealer, chosen)),
    isFirst: !rows.some((row) => row.source === 'registered'),
  };
}

function fitsRedirect({ redirectUri, callbackPort }: ClientWishes, known: string): boolean {
  if (redirectUri !== undefined) return redirectUri === known;
  const { isLoopback, port } = readRedirectUri(known);
  return callbackPort === undefined || !isLoopback || callbackPort === port;
}

/**
 * Asks the server, where it can be asked, whether it still has our registration, and for a new secret when that
 * ends soon. Undefined when it is gone, or its secret is as good as that.
 */
async function lookAfter(
  { vault, clock }: Context,
  metadata: ServerMetadata,
  client: Client,
  fetch: Fetch,
): Promise<Client | undefined> {
  const current = { ...client, serverMetadata: { ...metadata } };
  const state = await readState(current, clock.now(), fetch);
  if (state === 'gone') return undefined;
  const next = state === 'unknown' ? current : { ...current, ...state };
  const { clientSecretExpiresAt } = next;
  const isEnding = clientSecretExpiresAt !== null && clientSecretExpiresAt - clock.now() <= SECRET_MARGIN_MS;
  if (isEnding && client.source === 'registered') return undefined;
  const update = await updateClient(vault.sealer, next);
  const isUpdated = await vault.transaction(update);
  return isUpdated ? { ...next, generation: next.generation + 1 } : next;
}

/** What the server says of our registration now; with a new secret where the old one ends soon. */
async function readState(client: Client, now: number, fetch: Fetch) {
  const { registrationClientUri, registrationAccessToken, source } = client;
  if (source !== 'registered' || !registrationClientUri || !registrationAccessToken) return 'unknown';
  const managed = { ...client, registrationClientUri, registrationAccessToken };
  const read = await readManaged(managed, fetch);
  if (read.kind !== 'there') return read.kind;
  const seen: typeof managed = Object.assign({ ...managed }, told(read.registration));
  const ends = seen.clientSecretExpiresAt;
  if (ends === null || ends - now > SECRET_MARGIN_MS) return seen;
  const renewed = await renewManaged(seen, read.metadata, fetch);
  return renewed.kind === 'there' ? { ...seen, ...told(renewed.registration) } : seen;
}

/**
 * What a server leaves out of such an answer is as it was, and without the secret its end too. How we authenticate is
 * what has worked, whatever is told.
 */
function told({ authMethod: _, clientSecretExpiresAt, ...answered }: Registration): Partial<Registration> {
  return withoutGaps(answered.clientSecret === undefined ? answered : { ...answered, clientSecretExpiresAt });
}

function withoutGaps<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
