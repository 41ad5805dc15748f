/** How our client proves who it is at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2). */
import type { ClientAuth } from 'oauth4webapi';
import * as oauth from 'oauth4webapi';
import { AUTH_METHODS, type AuthMethod, type ClientProof, methodsFor } from '../core/auth-methods.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { readClientKey, requireTaken, signingKey } from './client-key.ts';
import type { ServerMetadata } from './server-discovery.ts';

export interface ClientCredentials {
  clientId: string;
  authMethod: string;
  clientSecret: Secret | undefined;
  /** Private key for `private_key_jwt`: PEM (PKCS #8) or JWK. */
  clientKey?: Secret | undefined;
}

/** How HTTP Basic is written: `form` encodes both parts first (RFC 6749 §2.3.1), `raw` does not. */
export type BasicEncoding = 'form' | 'raw';

/**
 * The library's authentication for this client. Throws `config_error` for a method without its secret or key, for a
 * key that cannot be used, and for a method we do not speak.
 */
export function clientAuth(client: ClientCredentials, basicEncoding: BasicEncoding = 'form'): ClientAuth {
  switch (client.authMethod) {
    case 'none':
      return oauth.None();
    case 'private_key_jwt':
      return privateKeyJwt(client);
    case 'client_secret_post':
      return oauth.ClientSecretPost(secretOf(client));
    case 'client_secret_basic':
      return basic(secretOf(client), basicEncoding === 'raw' ? (text) => text : formEncode);
    default:
      throw new BrokerError(
        'config_error',
        `the server wants the client authentication ${client.authMethod}`,
        {
          hint: `this broker speaks ${AUTH_METHODS.join(', ')}`,
        },
      );
  }
}

/**
 * Refuses a client that cannot authenticate at this server before anybody is asked. Throws what `clientAuth` throws, and
 * `config_error` for a key with an algorithm that the server does not take.
 */
export function requireClientAuth(client: ClientCredentials, metadata: ServerMetadata): void {
  clientAuth(client);
  if (client.authMethod !== 'private_key_jwt' || !client.clientKey) return;
  requireTaken(readClientKey(client.clientKey), metadata.token_endpoint_auth_signing_alg_values_supported);
}

function secretOf({ clientId, authMethod, clientSecret }: ClientCredentials): string {
  if (clientSecret) return clientSecret.reveal();
  throw new BrokerError('config_error', `the client ${clientId} has no secret, but must use ${authMethod}`, {
    hint: 'give the secret with --client-secret-file, or --auth-method none',
  });
}

/** A signed assertion in place of a secret; the audience is the issuer. */
function privateKeyJwt({ clientId, clientKey }: ClientCredentials): ClientAuth {
  if (!clientKey) {
    throw new BrokerError('config_error', `the client ${clientId} has no key, but must use private_key_jwt`, {
      hint: 'give its private key with --client-key-file',
    });
  }
  const key = readClientKey(clientKey);
  return (server, client, body, headers) => {
    const offered = server.token_endpoint_auth_signing_alg_values_supported;
    const options: oauth.ModifyAssertionOptions = {
      [oauth.modifyAssertion](header) {
        // RFC 9864 gave it a name of its own; most servers know the old one only.
        if (header.alg === 'Ed25519' && offered?.includes('Ed25519') !== true) header.alg = 'EdDSA';
      },
    };
    return oauth.PrivateKeyJwt(signingKey(key, offered), options)(server, client, body, headers);
  };
}

/** HTTP Basic (RFC 6749 §2.3.1). A few servers do not decode: for them nothing is encoded. */
function basic(secret: string, encode: (text: string) => string): ClientAuth {
  return (_server, client, _body, headers) => {
    const credentials = `${encode(client.client_id)}:${encode(secret)}`;
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
  };
}

/**
 * As forms are encoded: `-`, `.`, `_` and `*` stay as they are. The library encodes these too, and servers that do
 * not decode would take `a%2Db` for another client than `a-b`.
 */
function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

/** What this client has to show. */
export function proofOf({
  clientSecret,
  clientKey,
}: Pick<ClientCredentials, 'clientSecret' | 'clientKey'>): ClientProof {
  return clientKey ? 'key' : clientSecret ? 'secret' : 'none';
}

/**
 * The method to use or ask for. `none` first: a public client has no secret that could expire. Where the metadata is
 * silent the standard's default holds, `client_secret_basic` (RFC 8414 §2).
 *
 * @param proof what a configured client has; undefined: a client that is still to be registered
 */
export function chooseAuthMethod(metadata: ServerMetadata, proof?: ClientProof): AuthMethod {
  const offered = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const wanted = proof === undefined ? [...methodsFor('none'), ...methodsFor('secret')] : methodsFor(proof);
  return wanted.find((method) => offered.includes(method)) ?? (wanted[0] as AuthMethod);
}

/** The methods to try when the server refused this one although the client has the proof: at most one other. */
export function otherAuthMethod(client: ClientCredentials, metadata: ServerMetadata): AuthMethod | undefined {
  if (client.clientSecret === undefined) return undefined;
  const offered = metadata.token_endpoint_auth_methods_supported;
  const others = methodsFor('secret').filter((method) => method !== client.authMethod);
  return (
    others.find((method) => offered?.includes(method)) ??
    (client.authMethod === 'none' ? others[0] : undefined)
  );
}
