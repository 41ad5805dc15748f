/**
 * Who we are at the authorization server, for a login: the client the operator configured, the one registered
 * before, or a new registration; and the listener on the redirect URI it has.
 *
 * The loopback port is drawn once, at the first registration, and kept with the client: many servers compare
 * the redirect URI to the letter.
 */
import { randomUUID } from 'node:crypto';
import type { AuthMethod } from '../core/auth-methods.ts';
import type { Connection } from '../core/connection.ts';
import { chooseAuthMethod } from '../oauth/client-auth.ts';
import { type LoopbackListener, listenForCallback } from '../oauth/loopback.ts';
import { registerClient } from '../oauth/registration.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { Secret } from '../secret.ts';
import { reached } from '../steps.ts';
import { type Client, findClientsByIssuer, insertClient, openClient } from '../vault/clients.ts';
import type { Context } from './context.ts';

export interface ClientWishes {
  callbackPort?: number | undefined;
  clientId?: string | undefined;
  clientSecret?: Secret | undefined;
  authMethod?: AuthMethod | undefined;
}

export interface ReadyClient {
  client: Client;
  listener: LoopbackListener;
}

/**
 * Throws `port_in_use`, `registration_refused`, `upstream_unavailable`. The listener is the caller's to close.
 *
 * @param existing the connection to be renewed, if there is one
 */
export async function prepareClient(
  context: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  existing: Connection | undefined,
): Promise<ReadyClient> {
  const known = await findKnown(context, metadata, wishes, existing);
  const listener = await listenForCallback(wishes.callbackPort ?? (known ? portOf(known.redirectUri) : 0));
  try {
    if (known) return { client: known, listener };
    const client = await makeClient(context, metadata, wishes, listener.redirectUri);
    const insert = await insertClient(context.vault.sealer, client);
    await context.vault.transaction(insert);
    reached('login.client-saved');
    return { client, listener };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A client of earlier logins that still fits: same issuer, wished port, wished id, secret not expired, not refused. */
async function findKnown(
  { vault, clock }: Context,
  metadata: ServerMetadata,
  wishes: ClientWishes,
  existing: Connection | undefined,
): Promise<Client | undefined> {
  const rows = await vault.run(() => findClientsByIssuer(metadata.issuer));
  const isRefused = existing?.state === 'client_invalid';
  const fitting = rows.filter(
    (row) =>
      (wishes.callbackPort === undefined || portOf(row.redirect_uri) === wishes.callbackPort) &&
      (wishes.clientId === undefined
        ? true
        : row.client_id === wishes.clientId && wishes.clientSecret === undefined) &&
      (wishes.authMethod === undefined || row.auth_method === wishes.authMethod) &&
      (row.client_secret_expires_at === null || row.client_secret_expires_at > clock.now()) &&
      !(isRefused && row.source === 'registered' && row.id === existing.clientRowId),
  );
  const best = fitting.find((row) => row.id === existing?.clientRowId) ?? fitting[0];
  return best && { ...(await openClient(vault.sealer, best)), serverMetadata: { ...metadata } };
}

async function makeClient(
  { clock, fetch }: Context,
  metadata: ServerMetadata,
  { clientId, clientSecret, authMethod }: ClientWishes,
  redirectUri: string,
): Promise<Client> {
  const common = {
    rowId: randomUUID(),
    issuer: metadata.issuer,
    redirectUri,
    serverMetadata: { ...metadata },
    createdAt: clock.now(),
  };
  if (clientId === undefined) {
    return {
      ...common,
      source: 'registered',
      ...(await registerClient(metadata, redirectUri, fetch, authMethod)),
    };
  }
  return {
    ...common,
    source: 'configured',
    clientId,
    clientSecret,
    authMethod: authMethod ?? chooseAuthMethod(metadata, clientSecret !== undefined),
    clientSecretExpiresAt: null,
    registrationClientUri: undefined,
    registrationAccessToken: undefined,
  };
}

function portOf(redirectUri: string): number {
  return Number(new URL(redirectUri).port);
}
