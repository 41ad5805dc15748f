/** How our client proves who it is at the token endpoint (RFC 6749 §2.3). */
import type { ClientAuth } from 'oauth4webapi';
import * as oauth from 'oauth4webapi';
import { AUTH_METHODS, type AuthMethod } from '../core/auth-methods.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { ServerMetadata } from './server-discovery.ts';

export interface ClientCredentials {
  clientId: string;
  authMethod: string;
  clientSecret: Secret | undefined;
}

/** The library's authentication for this client. Throws `config_error` for a method without its secret, or one we do not speak. */
export function clientAuth({ clientId, authMethod, clientSecret }: ClientCredentials): ClientAuth {
  if (authMethod === 'none') return oauth.None();
  if (clientSecret === undefined) {
    throw new BrokerError(
      'config_error',
      `the client ${clientId} has no secret, but must use ${authMethod}`,
      {
        hint: 'give the secret with --client-secret-file, or --auth-method none',
      },
    );
  }
  switch (authMethod) {
    case 'client_secret_post':
      return oauth.ClientSecretPost(clientSecret.reveal());
    case 'client_secret_basic':
      return oauth.ClientSecretBasic(clientSecret.reveal());
    default:
      throw new BrokerError('config_error', `the server wants the client authentication ${authMethod}`, {
        hint: `this broker speaks ${AUTH_METHODS.join(', ')}`,
      });
  }
}

/**
 * The method to ask for. `none` first: a public client has no secret that could expire. Where the metadata is
 * silent the standard's default holds, `client_secret_basic` (RFC 8414 §2).
 *
 * @param hasSecret whether the client was configured with a secret
 */
export function chooseAuthMethod(metadata: ServerMetadata, hasSecret?: boolean): AuthMethod {
  const offered = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const wanted = AUTH_METHODS.filter(
    (method) => hasSecret === undefined || hasSecret === (method !== 'none'),
  );
  return wanted.find((method) => offered.includes(method)) ?? wanted[0] ?? 'none';
}
