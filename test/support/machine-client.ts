import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { NewConnection } from '../../src/broker/add.ts';
import { Secret } from '../../src/secret.ts';
import type { AuthorizationServerOptions } from './authorization-server.ts';

/** What the machine shows, and what no server may find anywhere else. */
export const MACHINE_SECRET = 'fake-machine-secret-of-the-tests';

/** A key no server accepts but those of these tests. */
const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const MACHINE_KEY = String(KEY.privateKey.export({ type: 'pkcs8', format: 'pem' }));
const jwk = (key: KeyObject) => ({ ...key.export({ format: 'jwk' }), kid: 'machine', alg: 'ES256' });

const MACHINE = {
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  client_secret: MACHINE_SECRET,
} as const;

/** A provider that knows the clients `by-post`, `by-basic` and `by-key`. */
export function withMachines(options: AuthorizationServerOptions = {}): AuthorizationServerOptions {
  const common = { ...MACHINE, grant_types: [...MACHINE.grant_types], redirect_uris: [], response_types: [] };
  const { client_secret: _, ...keyed } = common;
  return {
    clientCredentials: true,
    clients: [
      { ...common, client_id: 'by-post', token_endpoint_auth_method: 'client_secret_post' },
      { ...common, client_id: 'by-basic', token_endpoint_auth_method: 'client_secret_basic' },
      {
        ...keyed,
        client_id: 'by-key',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [jwk(KEY.publicKey)] },
      },
    ] as NonNullable<AuthorizationServerOptions['clients']>,
    ...options,
  };
}

/** The connection `demo` with the credentials of `by-post`, changed as the test wants. */
export function byPost(url: string, changes: Partial<NewConnection> = {}): NewConnection {
  return {
    name: 'demo',
    url,
    clientId: 'by-post',
    clientSecret: new Secret(MACHINE_SECRET),
    authMethod: 'client_secret_post',
    grant: { kind: 'client_credentials' },
    ...changes,
  };
}
