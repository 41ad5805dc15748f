/** What a login may say about who we should be at the authorization server, and where the person comes back to. */
import type { AuthMethod } from '../core/auth-methods.ts';
import type { Connection } from '../core/connection.ts';
import { readRedirectUri } from '../core/redirect.ts';
import type { Network } from '../core/server-settings.ts';
import { type LoopbackListener, listenForCallback } from '../oauth/loopback.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { Secret } from '../secret.ts';
import type { Client } from '../vault/clients.ts';
import type { LoginHooks } from './login-events.ts';

export interface ClientWishes {
  /** Port to listen at. Default: the one of the redirect URI, drawn at the first registration. */
  callbackPort?: number | undefined;
  /** The whole redirect URI. One that is not on this machine is listened for only with `callbackPort`. */
  redirectUri?: string | undefined;
  /** Nobody listens: the answer is pasted. */
  paste?: boolean | undefined;
  /** Nobody is redirected: a code is typed on another device. */
  usesDevice?: boolean | undefined;
  /** The daemon takes the answer, at `redirectUri`: nobody listens for this one login. */
  isWeb?: boolean | undefined;
  clientId?: string | undefined;
  clientSecret?: Secret | undefined;
  /** PEM or JWK, for `private_key_jwt`. */
  clientKey?: Secret | undefined;
  /** https URL of a client id metadata document, used where the server takes such. */
  clientMetadataUrl?: string | undefined;
  authMethod?: AuthMethod | undefined;
  /** Passes over registrations of earlier logins. */
  reregister?: boolean | undefined;
}

export interface ReadyClient {
  client: Client;
  /** Undefined: nobody listens. The caller's to close. */
  listener: LoopbackListener | undefined;
}

export interface ClientCircumstances extends Pick<LoginHooks, 'notify' | 'signal'> {
  network: Network;
  /** What is known about getting a client at this vendor. */
  needsClient: string | undefined;
  /** The connection to be renewed, if there is one. */
  existing: Connection | undefined;
}

/** Whether a metadata document is wished and the server takes such. */
export function offersDocument(wishes: ClientWishes, metadata: ServerMetadata): boolean {
  return (
    wishes.clientId === undefined &&
    wishes.clientMetadataUrl !== undefined &&
    metadata.client_id_metadata_document_supported === true
  );
}

/** Whether somebody listens for this redirect URI. */
export function isListenedFor(wishes: ClientWishes, redirectUri: string): boolean {
  if (wishes.paste || wishes.usesDevice || wishes.isWeb) return false;
  // Somebody in front of us may pass the browser on to our port.
  return readRedirectUri(redirectUri).isLoopback || wishes.callbackPort !== undefined;
}

/** Listens for this redirect URI. Undefined: nobody should, or can. Throws `port_in_use`. */
export async function listenFor(
  wishes: ClientWishes,
  redirectUri: string,
): Promise<LoopbackListener | undefined> {
  if (!isListenedFor(wishes, redirectUri)) return undefined;
  const redirect = readRedirectUri(redirectUri);
  const { path } = redirect;
  if (redirect.isLoopback) return listenForCallback({ host: redirect.host, port: redirect.port, path });
  return listenForCallback({ port: wishes.callbackPort ?? 0, path });
}
