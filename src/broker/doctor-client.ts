/**
 * Examines our client at an authorization server: whether it can prove who it is, whether it is still known there,
 * and whether a browser could come back to it.
 */
import { clientSecretFinding } from '../core/check-policy.ts';
import { enteringCommand } from '../core/connection.ts';
import { failed, failedBy, fine, type Outcome, skipped, together, warning } from '../core/diagnosis.ts';
import { readRedirectUri } from '../core/redirect.ts';
import { BrokerError, printable } from '../errors.ts';
import { clientAuth } from '../oauth/client-auth.ts';
import { abortable } from '../oauth/http.ts';
import { listenForCallback } from '../oauth/loopback.ts';
import type { Registration } from '../oauth/registration.ts';
import { readManaged } from '../oauth/registration-management.ts';
import { type Client, type ClientSource, findClient, openClient, updateClient } from '../vault/clients.ts';
import type { Vault } from '../vault/index.ts';
import { timestamp } from './connections.ts';
import type { Doctor } from './doctor-server.ts';
import type { Patient } from './doctor-target.ts';

export interface ClientFindings {
  registration: Outcome;
  redirect: Outcome;
  /** Undefined: the connection has no client. */
  issuer: string | undefined;
}

const READ_DEADLINE_MS = 5_000;

const SOURCES: Record<ClientSource, string> = {
  configured: 'the configured client',
  metadata_document: 'the client document',
  registered: 'the registered client',
};

/** Examines the client of a connection. Throws `vault_unavailable` for a client that does not open. */
export async function examineClient(
  doctor: Doctor & { vault: Vault },
  { stored, server }: Patient,
): Promise<ClientFindings> {
  const { vault } = doctor;
  const rowId = stored.clientRowId;
  const row = rowId === null ? undefined : await vault.run(() => findClient(rowId));
  if (!row) {
    const none = skipped('the connection has no OAuth client');
    return { registration: none, redirect: none, issuer: undefined };
  }
  const client = await openClient(vault.sealer, row);
  const fetch = abortable(doctor.fetchFor(server.settings.network), AbortSignal.timeout(READ_DEADLINE_MS));
  const [registration, redirect] = await Promise.all([
    examineRegistration(doctor, client, enteringCommand(stored), fetch),
    // A machine's client: nobody is sent anywhere.
    client.redirectUri === ''
      ? skipped('nobody signs in with this client')
      : examineRedirect(client, stored.name),
  ]);
  return { registration, redirect, issuer: client.issuer };
}

async function examineRegistration(
  { vault, clock }: Doctor & { vault: Vault },
  client: Client,
  again: string,
  fetch: ReturnType<Doctor['fetchFor']>,
): Promise<Outcome> {
  const { clientSecretExpiresAt: ends, source } = client;
  const name = `${SOURCES[source]} ${printable(client.clientId)}`;
  try {
    clientAuth(client);
  } catch (error) {
    return failedBy(error);
  }
  const known = await askWhetherKnown(vault, client, fetch);
  if (known === 'gone') {
    return failed(`${name} is not known to the server any more`, again, 'client_invalid');
  }
  const seen = fine(`${name}${KNOWN[known]}${ends === null ? '' : `, its secret ends ${timestamp(ends)}`}`);
  const secret = ends === null ? undefined : clientSecretFinding(ends, clock.now());
  if (!secret) return seen;
  return together(secret.code === 2 ? failed(secret.message, again) : warning(secret.message, again), seen);
}

type Known = 'there' | 'gone' | 'unknown' | 'never told';

const KNOWN: Record<Exclude<Known, 'gone'>, string> = {
  there: ', still known to the server',
  unknown: ' (the server did not say whether it still knows it)',
  'never told': '',
};

/** Asks the server where it lets registrations be read (RFC 7592 §2.1). */
async function askWhetherKnown(
  vault: Vault,
  client: Client,
  fetch: ReturnType<Doctor['fetchFor']>,
): Promise<Known> {
  const { registrationClientUri, registrationAccessToken, source } = client;
  if (source !== 'registered' || !registrationClientUri || !registrationAccessToken) return 'never told';
  const state = await readManaged({ ...client, registrationClientUri, registrationAccessToken }, fetch);
  if (state.kind === 'there') await keepReplaced(vault, client, state.registration);
  return state.kind;
}

/**
 * The one thing a doctor may write: a server is free to answer with a new secret or a new access token, and from then
 * on the old one is dead (RFC 7592 §3). To only look would be to break the login.
 */
async function keepReplaced(vault: Vault, client: Client, answered: Registration): Promise<void> {
  const secrets = ['clientSecret', 'registrationAccessToken'] as const;
  const replaced = secrets.filter(
    (name) => answered[name] !== undefined && answered[name].fingerprint() !== client[name]?.fingerprint(),
  );
  if (replaced.length === 0) return;
  const { clientSecretExpiresAt } = replaced.includes('clientSecret') ? answered : client;
  const kept = Object.fromEntries(replaced.map((name) => [name, answered[name]]));
  const update = await updateClient(vault.sealer, { ...client, ...kept, clientSecretExpiresAt });
  await vault.transaction(update);
}

/** Takes the port for a moment, as the next login would. */
async function examineRedirect({ redirectUri }: Client, connection: string): Promise<Outcome> {
  try {
    const redirect = readRedirectUri(redirectUri);
    if (!redirect.isLoopback) {
      return fine(
        `${printable(redirectUri)} is not on this machine: its answer is pasted, or passed on to us`,
      );
    }
    const listener = await listenForCallback(redirect);
    await listener.close();
    return fine(`${printable(redirectUri)} is free for the next login`);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    // Nothing is broken by it today.
    return warning(
      `${printable(redirectUri)}: ${error.message}`,
      `${error.hint}\nbroker login ${connection} --callback-port <port>`,
    );
  }
}
