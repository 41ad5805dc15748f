import { Command, Option } from 'commander';
import { AUTH_METHODS, type AuthMethod } from '../../core/auth-methods.ts';
import type { Grant } from '../../core/grant.ts';
import { BrokerError } from '../../errors.ts';
import { collectScopes, readOneSecretFromStdin, readSecretFile } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { resultJson, say, succeed } from '../terminal.ts';

interface AddOptions {
  url?: string;
  clientCredentials?: boolean;
  workloadTokenFile?: string;
  identityTokenFile?: string;
  identityIssuer?: string;
  identityClientId?: string;
  clientId?: string;
  clientSecretFile?: string;
  clientKeyFile?: string;
  authMethod?: AuthMethod;
  scope?: string[];
  resource?: string | false;
  issuer?: string;
  json?: boolean;
}

/** `broker add`: a connection without a person. */
export function addCommand(): Command {
  return new Command('add')
    .description('add a connection that needs no person: a machine’s own credentials')
    .argument('<name>')
    .option('--url <url>', 'URL of the MCP server')
    .option('--client-credentials', 'with the client’s own id and secret or key')
    .option(
      '--workload-token-file <file>',
      'with the token a platform keeps in this file (workload identity)',
    )
    .option(
      '--identity-token-file <file>',
      'with the ID token in this file (enterprise-managed authorization)',
    )
    .option('--identity-issuer <url>', 'the identity provider that issued it')
    .option('--identity-client-id <id>', 'our client at the identity provider')
    .option('--client-id <id>', 'OAuth client at the server')
    .option('--client-secret-file <file>', 'its secret; - for stdin')
    .option('--client-key-file <file>', 'its private key (PEM or JWK), for private_key_jwt')
    .addOption(new Option('--auth-method <method>', 'how the client authenticates').choices(AUTH_METHODS))
    .option('--scope <scope>', 'ask for this scope (repeatable)', collectScopes)
    .option('--issuer <url>', 'the authorization server you vouch for, whatever is announced')
    .option('--resource <uri>', 'the resource you vouch for, whatever is announced')
    .option('--no-resource', 'leave out the resource parameter (RFC 8707)')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  broker add reports --url https://mcp.example.com/mcp --client-credentials --client-id abc --client-secret-file secret.txt
  broker add reports --url https://mcp.example.com/mcp --workload-token-file /var/run/secrets/tokens/mcp`;

async function run(name: string, options: AddOptions, command: Command): Promise<void> {
  const { url, clientId, authMethod, resource } = options;
  const grant = readGrant(options);
  if (url === undefined) throw missing('--url <url>', 'the URL of the MCP server');
  if (clientId === undefined && grant.kind !== 'jwt_bearer')
    throw missing('--client-id <id>', 'the OAuth client');
  readOneSecretFromStdin([options.clientSecretFile, options.clientKeyFile]);
  const secret = (file: string | undefined, flag: string) =>
    file === undefined ? undefined : readSecretFile(file, flag);
  const wanted = {
    ...{ name, url, clientId, authMethod, grant },
    clientSecret: secret(options.clientSecretFile, '--client-secret-file'),
    clientKey: secret(options.clientKeyFile, '--client-key-file'),
    scopes: options.scope,
    pinnedIssuer: options.issuer,
    pinnedResource: resource === false ? undefined : resource,
    resourceParameter: resource === false ? ('omit' as const) : undefined,
  };
  const view = await asOperator(openSession(command), { create: true }, (broker) => broker.add(wanted));
  if (options.json) return resultJson(view);
  succeed(`${view.name} is added, and its first token is here`);
  say(`\nnext: broker agent add <name> --allow ${view.name}`);
}

/** Exactly one way must be chosen. */
function readGrant(options: AddOptions): Grant {
  const { clientCredentials, workloadTokenFile, identityTokenFile, identityIssuer, identityClientId } =
    options;
  const chosen = [clientCredentials, workloadTokenFile, identityTokenFile].filter(Boolean);
  if (chosen.length !== 1) {
    throw new BrokerError('usage', 'say in one way how the connection gets its tokens', {
      hint: '--client-credentials, --workload-token-file <file> or --identity-token-file <file>\na person signs in with: broker login <url>',
    });
  }
  if (workloadTokenFile !== undefined) return { kind: 'jwt_bearer', assertionFile: workloadTokenFile };
  if (identityTokenFile === undefined) return { kind: 'client_credentials' };
  if (identityIssuer === undefined) throw missing('--identity-issuer <url>', 'the identity provider');
  if (identityClientId === undefined)
    throw missing('--identity-client-id <id>', 'our client at the identity provider');
  const identityProvider = { issuer: identityIssuer, clientId: identityClientId };
  return { kind: 'id_jag', subjectTokenFile: identityTokenFile, identityProvider };
}

function missing(flag: string, what: string): BrokerError {
  return new BrokerError('usage', `${what} is missing`, { hint: `add ${flag}` });
}
