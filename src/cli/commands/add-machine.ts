/** `broker add` with a machine's own credentials. */
import { resolve } from 'node:path';
import type { NewConnection } from '../../broker/add.ts';
import type { AuthMethod } from '../../core/auth-methods.ts';
import type { Grant } from '../../core/grant.ts';
import { BrokerError } from '../../errors.ts';
import { readOneSecretFromStdin, readSecretFile, requireTokenFile } from '../arguments.ts';

export interface MachineOptions {
  clientCredentials?: boolean;
  workloadTokenFile?: string;
  identityTokenFile?: string;
  identityIssuer?: string;
  identityClientId?: string;
  clientId?: string;
  clientSecretFile?: string;
  clientKeyFile?: string;
  generateClientKey?: boolean;
  authMethod?: AuthMethod;
  scope?: string[];
  resource?: string | false;
  issuer?: string;
}

/** The connection as the options describe it. Throws `usage` for what does not fit together. */
export function readMachine(options: MachineOptions): Omit<NewConnection, 'name' | 'url'> {
  const { clientId, authMethod, resource } = options;
  const grant = readGrant(options);
  requireClient(options, grant);
  if (grant.kind === 'jwt_bearer') requireTokenFile(grant.assertionFile, '--workload-token-file');
  if (grant.kind === 'id_jag') requireTokenFile(grant.subjectTokenFile, '--identity-token-file');
  readOneSecretFromStdin([options.clientSecretFile, options.clientKeyFile]);
  const secret = (file: string | undefined, flag: string) =>
    file === undefined ? undefined : readSecretFile(file, flag);
  return {
    ...{ clientId, authMethod, grant },
    clientSecret: secret(options.clientSecretFile, '--client-secret-file'),
    clientKey: secret(options.clientKeyFile, '--client-key-file'),
    generateKey: options.generateClientKey,
    scopes: options.scope,
    pinnedIssuer: options.issuer,
    pinnedResource: resource === false ? undefined : resource,
    resourceParameter: resource === undefined ? undefined : resource ? 'send' : 'omit',
  };
}

function readGrant(options: MachineOptions): Grant {
  const { workloadTokenFile, identityTokenFile, identityIssuer, identityClientId } = options;
  if (identityTokenFile === undefined && (identityIssuer ?? identityClientId) !== undefined) {
    throw new BrokerError('usage', 'an identity provider is asked only with an ID token', {
      hint: 'leave out --identity-issuer and --identity-client-id\nor give the token: --identity-token-file <file>',
    });
  }
  if (workloadTokenFile !== undefined)
    return { kind: 'jwt_bearer', assertionFile: lasting(workloadTokenFile) };
  if (identityTokenFile === undefined) return { kind: 'client_credentials' };
  if (identityIssuer === undefined) throw missing('--identity-issuer <url>', 'the identity provider');
  if (identityClientId === undefined)
    throw missing('--identity-client-id <id>', 'our client at the identity provider');
  const identityProvider = { issuer: identityIssuer, clientId: identityClientId };
  return {
    kind: 'id_jag',
    subjectTokenFile: lasting(identityTokenFile),
    identityProvider,
  };
}

/** A daemon that reads the file has another working directory. */
function lasting(file: string): string {
  if (file !== '-') return resolve(file);
  throw new BrokerError('usage', 'a token that is read anew each time cannot come from stdin', {
    hint: 'name the file in which the platform keeps it',
  });
}

/** The client and what it shows must fit together. */
function requireClient(options: MachineOptions, { kind }: Grant): void {
  const { clientId, clientSecretFile, clientKeyFile, generateClientKey, authMethod } = options;
  const proofs = [clientSecretFile, clientKeyFile, generateClientKey].filter((each) => each !== undefined);
  if (proofs.length > 1) {
    throw new BrokerError('usage', 'a client has one secret or one key, not both', {
      hint: 'choose one of --client-secret-file, --client-key-file and --generate-client-key',
    });
  }
  if (generateClientKey && authMethod !== undefined && authMethod !== 'private_key_jwt') {
    throw new BrokerError('usage', `a key is of no use for ${authMethod}`, {
      hint: 'leave out --auth-method: with a key it is private_key_jwt',
    });
  }
  if (clientId === undefined && (kind !== 'jwt_bearer' || proofs.length > 0 || authMethod !== undefined))
    throw missing('--client-id <id>', 'the OAuth client');
  if (kind === 'client_credentials' && proofs.length === 0)
    throw missing(
      '--client-secret-file <file>, --client-key-file <file> or --generate-client-key',
      'what the client shows',
    );
}

/** Something that cannot be left out. */
export function missing(flag: string, what: string): BrokerError {
  return new BrokerError('usage', `${what} is missing`, { hint: `add ${flag}` });
}
