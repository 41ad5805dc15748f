/**
 * A new client at an authorization server, by the first of these ways that is open: the one an operator configured,
 * a client id metadata document, dynamic registration.
 */
import { randomUUID } from 'node:crypto';
import { readClientDocument, requireClientIdUrl } from '../core/client-document.ts';
import { readRedirectUri } from '../core/redirect.ts';
import { BrokerError } from '../errors.ts';
import { chooseAuthMethod, proofOf, requireClientAuth } from '../oauth/client-auth.ts';
import { fetchDocument } from '../oauth/documents.ts';
import { abortable, type Fetch } from '../oauth/http.ts';
import { type LoopbackListener, listenForCallback } from '../oauth/loopback.ts';
import { type Registration, registerClient, registrationRefused } from '../oauth/registration.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { type Client, insertClient } from '../vault/clients.ts';
import {
  type ClientCircumstances,
  type ClientWishes,
  isListenedFor,
  offersDocument,
  type ReadyClient,
} from './client-wishes.ts';
import type { Context } from './context.ts';

interface Making extends ClientCircumstances {
  fetch: Fetch;
  /** Whether we were never registered at this issuer. */
  isFirst: boolean;
}

/** Throws `port_in_use`, `registration_refused`, `upstream_unavailable`, `usage`, `config_error`. */
export async function makeClient(
  context: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  making: Making,
): Promise<ReadyClient> {
  const document = offersDocument(wishes, metadata) ? await documentOf(context, wishes, making) : undefined;
  const listener = await listenForNew(wishes, document?.redirectUri);
  try {
    const redirectUri = wishes.redirectUri ?? document?.redirectUri ?? listener.redirectUri;
    if (wishes.clientId === undefined && document === undefined) {
      return await register(context, metadata, wishes, making, listener);
    }
    const clientId = wishes.clientId ?? (document?.clientId as string);
    const client = newClient(context, metadata, redirectUri, {
      isWeb: wishes.isWeb === true,
      source: document ? 'metadata_document' : 'configured',
      clientId,
      clientSecret: document ? undefined : wishes.clientSecret,
      clientKey: wishes.clientKey,
      authMethod:
        wishes.authMethod ?? document?.authMethod ?? chooseAuthMethod(metadata, proofOf(configured(wishes))),
    });
    return await ready(client, wishes, listener);
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A listener even where nobody will listen: it draws the port. But where the daemon is at that place already. */
async function listenForNew(
  wishes: ClientWishes,
  fromDocument: string | undefined,
): Promise<LoopbackListener> {
  if (wishes.isWeb && wishes.redirectUri !== undefined)
    return { redirectUri: wishes.redirectUri, onArrival() {}, async close() {} };
  const wished = wishes.redirectUri ?? fromDocument;
  const redirect = wished === undefined ? undefined : readRedirectUri(wished);
  if (!redirect?.isLoopback)
    return listenForCallback({
      port: wishes.callbackPort ?? 0,
      ...(redirect ? { path: redirect.path } : {}),
    });
  const port = wishes.callbackPort ?? redirect.port;
  return listenForCallback({ host: redirect.host, port, path: redirect.path });
}

/** Gives up the listener where nobody should listen. Throws `config_error` for a client that cannot authenticate. */
async function ready(client: Client, wishes: ClientWishes, listener: LoopbackListener): Promise<ReadyClient> {
  // What cannot authenticate should be told before a person is asked, not after.
  requireClientAuth(client, client.serverMetadata as ServerMetadata);
  if (isListenedFor(wishes, client.redirectUri)) return { client, listener };
  await listener.close();
  return { client, listener: undefined };
}

/**
 * Registers. A server that refuses 127.0.0.1 in the redirect URI is asked once more with `localhost`, which some
 * accept alone; a server that answers with an ended registration of ours, for one that differs.
 */
async function register(
  context: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  { fetch, isFirst, needsClient }: Making,
  listener: LoopbackListener,
): Promise<ReadyClient> {
  const { registration_endpoint: endpoint } = metadata;
  const redirectUri = wishes.redirectUri ?? listener.redirectUri;
  if (endpoint === undefined) throw registrationRefused(metadata, redirectUri, undefined, needsClient);
  const server = { ...metadata, registration_endpoint: endpoint };
  const ask = (uri: string, isAnother: boolean) =>
    registerClient(server, { redirectUri: uri, authMethod: wishes.authMethod, isAnother }, fetch);
  const registered = { source: 'registered', isWeb: wishes.isWeb === true } as const;
  const finish = (registration: Registration, uri: string, at: LoopbackListener) =>
    ready(newClient(context, metadata, uri, { ...registered, ...registration }), wishes, at);

  let answer = await ask(redirectUri, !isFirst);
  if ('clientId' in answer && isEnded(answer, context.clock.now())) answer = await ask(redirectUri, true);
  if ('clientId' in answer) return finish(answer, redirectUri, listener);
  if (answer.error !== 'invalid_redirect_uri' || wishes.redirectUri !== undefined) {
    throw registrationRefused(metadata, redirectUri, answer, needsClient);
  }
  await listener.close();
  const { port } = readRedirectUri(listener.redirectUri);
  const named = await listenForCallback({ host: 'localhost', port: port ?? 0 });
  try {
    const again = await ask(named.redirectUri, !isFirst);
    if (!('clientId' in again)) throw registrationRefused(metadata, redirectUri, again, needsClient);
    return await finish(again, named.redirectUri, named);
  } catch (error) {
    await named.close();
    throw error;
  }
}

function isEnded({ clientSecretExpiresAt }: Registration, now: number): boolean {
  return clientSecretExpiresAt !== null && clientSecretExpiresAt <= now;
}

function configured({ clientSecret, clientKey }: ClientWishes) {
  return { clientSecret, clientKey };
}

type Identity = Pick<Client, 'source' | 'clientId' | 'authMethod'> & Partial<Client>;

function newClient(
  { clock }: Context,
  metadata: ServerMetadata,
  redirectUri: string,
  identity: Identity,
): Client {
  return {
    rowId: randomUUID(),
    generation: 1,
    issuer: metadata.issuer,
    redirectUri,
    isWeb: false,
    clientSecret: undefined,
    clientKey: undefined,
    clientSecretExpiresAt: null,
    registrationClientUri: undefined,
    registrationAccessToken: undefined,
    serverMetadata: { ...metadata },
    createdAt: clock.now(),
    ...identity,
  };
}

/** The client of a connection without a person: it has no redirect URI. Throws `config_error`. */
export async function makeMachineClient(
  context: Context,
  metadata: ServerMetadata,
  { clientId, clientSecret, clientKey, authMethod }: ClientWishes & { clientId: string },
): Promise<Client> {
  const proof = proofOf({ clientSecret, clientKey });
  const client = newClient(context, metadata, '', {
    source: 'configured',
    ...{ clientId, clientSecret, clientKey },
    authMethod: authMethod ?? chooseAuthMethod(metadata, proof),
  });
  requireClientAuth(client, metadata);
  const insert = await insertClient(context.vault.sealer, client);
  await context.vault.transaction(insert);
  return client;
}

/**
 * What the hosted document says, checked as the server will. One that cannot be read from here may still be readable
 * for the server: then the person is told, and the login goes on.
 */
async function documentOf(
  { fetchFor }: Context,
  { clientMetadataUrl: url = '', redirectUri, clientKey }: ClientWishes,
  { notify, signal }: Making,
): Promise<{ clientId: string; redirectUri: string | undefined; authMethod: 'none' | 'private_key_jwt' }> {
  requireClientIdUrl(url);
  const proof = clientKey ? 'private_key_jwt' : 'none';
  // An operator typed this URL: it may be anywhere.
  const fetched = await fetchDocument(url, abortable(fetchFor('private'), signal)).catch((error: unknown) => {
    if (error instanceof BrokerError && error.code === 'upstream_unavailable') return error;
    throw error;
  });
  if (fetched instanceof BrokerError) {
    notify(
      `the client metadata document could not be read from here (${fetched.message}); using its URL unread`,
    );
    return { clientId: url, redirectUri, authMethod: proof };
  }
  const read = readClientDocument(url, fetched, redirectUri);
  return { clientId: url, redirectUri: read.redirectUri, authMethod: proof };
}
