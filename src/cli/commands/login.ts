import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { LoginRequest } from '../../broker/login.ts';
import { HANGUP } from '../../broker/login-events.ts';
import { AUTH_METHODS, type AuthMethod } from '../../core/auth-methods.ts';
import { RECOVERY_POLICIES, type RecoveryPolicy } from '../../core/recovery.ts';
import { BrokerError } from '../../errors.ts';
import {
  collect,
  collectPair,
  collectScopes,
  durationMs,
  port,
  readOneSecretFromStdin,
  readSecretFile,
} from '../arguments.ts';
import { printLink } from '../login-link.ts';
import { openBrowser, tellLogin } from '../login-talk.ts';
import { asOperator, openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { pastedLines } from '../stdin.ts';
import { resultJson, warn } from '../terminal.ts';

interface LoginOptions {
  name?: string;
  account?: string;
  scope?: string[];
  expectAccount?: string;
  browser: boolean;
  paste?: boolean;
  device?: boolean;
  link?: boolean;
  publicUrl?: string;
  qr?: boolean;
  callbackPort?: number;
  redirectUri?: string;
  clientId?: string;
  clientSecretFile?: string;
  clientKeyFile?: string;
  clientMetadataUrl?: string;
  authMethod?: AuthMethod;
  reregister?: boolean;
  refreshTokenFile?: string;
  issuer?: string;
  resource?: string | false;
  assumePkce?: boolean;
  authParam?: Record<string, string>;
  scopeOnRefresh?: boolean;
  rawBasic?: boolean;
  transport?: 'http' | 'sse';
  recovery?: RecoveryPolicy;
  deadTokenError?: string[];
  idleLimit?: number;
  forgetSettings?: boolean;
  timeout?: number;
  json?: boolean;
}

/** `broker login`: sign in once. */
export function loginCommand(): Command {
  const command = new Command('login')
    .description('sign in once; the broker keeps the login and refreshes it')
    .argument(
      '<url|connection|preset>',
      'URL of the MCP server, a connection to sign in to again, or a preset',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (target: string, options: LoginOptions, self: Command) => run(target, options, self));
  for (const option of OPTIONS) command.addOption(option);
  return command;
}

const option = (flags: string, description: string, group: string) =>
  new Option(flags, description).helpGroup(group);

const HOW = 'How you sign in:';
const WHO = 'Who the broker is at the server:';
const ODD = 'For servers that differ (remembered; broker show tells):';

const OPTIONS = [
  new Option('--name <name>', 'name of the connection (default: from the host)'),
  new Option('--account <account>', 'keep it beside others of the same server, as name@account'),
  new Option(
    '--scope <scope>',
    'ask for this scope instead of what the server suggests (repeatable)',
  ).argParser(collectScopes),
  new Option('--expect-account <identity>', 'refuse a login that belongs to anybody else'),
  option('--no-browser', 'print the link; the answer may also be pasted', HOW),
  option('--paste', 'do not listen at all: paste the address the browser ends at', HOW),
  option('--device', 'type a short code on another device, where the server offers it', HOW),
  option('--refresh-token-file <file>', 'take over a refresh token of another program; - for stdin', HOW),
  option('--link', 'print a link for whoever is to sign in; the daemon takes the answer', HOW),
  option('--public-url <url>', 'with --link: where the daemon is reached (default: where it listens)', HOW),
  option('--qr', 'show the link as a QR code too', HOW),
  option('--callback-port <port>', 'port the browser comes back to (default: drawn once)', HOW).argParser(
    port,
  ),
  option('--redirect-uri <uri>', 'the whole address the browser comes back to', HOW),
  option(
    '--timeout <duration>',
    'how long to wait for the sign-in, such as 5m (default: 15m)',
    HOW,
  ).argParser(durationMs),
  option('--client-id <id>', 'OAuth client to use where the server registers none by itself', WHO),
  option('--client-secret-file <file>', 'its secret; - for stdin', WHO),
  option('--client-key-file <file>', 'its private key (PEM or JWK), for private_key_jwt', WHO),
  option('--client-metadata-url <url>', 'client metadata document, used where the server takes one', WHO),
  option('--auth-method <method>', 'how the client authenticates', WHO).choices(AUTH_METHODS),
  option('--reregister', 'register anew instead of using an earlier registration', WHO),
  option('--issuer <url>', 'the authorization server you vouch for, whatever is announced', ODD),
  option('--resource <uri>', 'the resource you vouch for, whatever is announced', ODD),
  option('--no-resource', 'leave out the resource parameter (RFC 8707)', ODD),
  option('--assume-pkce', 'the server checks PKCE although it does not announce it', ODD),
  option('--auth-param <name=value>', 'further parameter of the sign-in link (repeatable)', ODD).argParser(
    collectPair,
  ),
  option('--scope-on-refresh', 'repeat the scope at each refresh', ODD),
  option('--raw-basic', 'do not encode client id and secret in HTTP Basic', ODD),
  option('--transport <transport>', 'http, or sse for the older HTTP+SSE (default: found out)', ODD).choices([
    'http',
    'sse',
  ]),
  option('--recovery <policy>', 'when the answer to a refresh was lost (default: retry)', ODD).choices(
    RECOVERY_POLICIES,
  ),
  option(
    '--dead-token-error <code>',
    'error code by which this server says that a refresh token is dead (repeatable)',
    ODD,
  ).argParser(collect),
  option(
    '--idle-limit <duration>',
    'how long it keeps a refresh token nobody uses, such as 30d (default: unknown)',
    ODD,
  ).argParser(durationMs),
  option('--forget-settings', 'begin with what is usual instead of what was remembered', ODD),
  new Option('--json', 'one JSON object a line for each event'),
];

const EXAMPLES = `
Examples:
  broker login https://coda.io/apis/mcp   on a server without a browser: add --no-browser
  broker login notion --account acme      a preset; broker login nothing lists them all
  broker login coda                       sign in again, keeping name and agents
  broker login https://mcp.example.com/mcp --client-id abc --client-secret-file secret.txt`;

async function run(target: string, options: LoginOptions, command: Command): Promise<void> {
  const session = openSession(command);
  const isJson = options.json === true;
  refuseTwoWays(options);
  readOneSecretFromStdin([options.clientSecretFile, options.clientKeyFile, options.refreshTokenFile]);
  const isRedirected = !options.device && options.refreshTokenFile === undefined;
  const opensBrowser = isRedirected && !options.paste && options.browser && session.settings.hasLocalScreen;
  const request = readRequest(target, options);
  if (!existsSync(session.settings.database)) {
    const { requireFirstTarget } = await import('../../broker/login-target.ts');
    await requireFirstTarget(request);
  }
  if (options.link) return printLink(session, request, options);
  const interrupt = new AbortController();
  const release = onStop((signal) => interrupt.abort(signal === 'SIGHUP' ? HANGUP : signal));
  const usesStdin = [options.clientSecretFile, options.clientKeyFile].includes('-');
  const paste =
    isRedirected && !usesStdin ? pastedLines(!options.browser || options.paste === true) : undefined;
  const circumstances = {
    opensBrowser,
    canPaste: paste !== undefined,
    isListening: !options.paste,
    qr: options.qr === true,
    ssh: session.settings.ssh,
  };
  try {
    await asOperator(session, { create: true, watchesSignals: true }, (broker) =>
      broker.login(request, {
        onEvent(event) {
          if (isJson) resultJson(event, { indent: false });
          else tellLogin(event, circumstances);
          if (event.event === 'authorization_url' && opensBrowser) void openBrowser(event.url);
        },
        notify: (message) => warn(message),
        pasted: paste?.lines,
        signal: interrupt.signal,
      }),
    );
    if (options.refreshTokenFile !== undefined) warn(OTHER_HOLDER);
  } finally {
    paste?.close();
    release();
  }
}

const OTHER_HOLDER =
  'the broker now owns this login: stop the program that used the refresh token before, or the two will end each other’s login';

/** Ways of signing in that exclude each other. */
function refuseTwoWays(options: LoginOptions): void {
  const { device, paste, refreshTokenFile, clientId, link, redirectUri, callbackPort } = options;
  const ways = [
    device && '--device',
    paste && '--paste',
    refreshTokenFile !== undefined && '--refresh-token-file',
    link && '--link',
    link && redirectUri !== undefined && '--redirect-uri',
    link && callbackPort !== undefined && '--callback-port',
  ].filter(Boolean);
  if (ways.length > 1) {
    throw new BrokerError('usage', `${ways.join(' and ')} are two ways of signing in`, {
      hint: 'choose one',
    });
  }
  if (refreshTokenFile !== undefined && clientId === undefined) {
    throw new BrokerError('usage', 'a refresh token works only for the client it was issued to', {
      hint: 'name that client: --client-id (and --client-secret-file, if it has a secret)',
    });
  }
}

function readRequest(target: string, options: LoginOptions): LoginRequest {
  const secret = (file: string | undefined, flag: string) =>
    file === undefined ? undefined : readSecretFile(file, flag);
  const { name, account, callbackPort, redirectUri, clientId, clientMetadataUrl, authMethod } = options;
  return {
    ...{ target, name, account, callbackPort, redirectUri, clientId, clientMetadataUrl, authMethod },
    clientSecret: secret(options.clientSecretFile, '--client-secret-file'),
    clientKey: secret(options.clientKeyFile, '--client-key-file'),
    refreshToken: secret(options.refreshTokenFile, '--refresh-token-file'),
    ...{ paste: options.paste, device: options.device, reregister: options.reregister },
    expectedAccount: options.expectAccount,
    forgetSettings: options.forgetSettings,
    timeoutMs: options.timeout,
    scopes: options.scope,
    recovery: options.recovery,
    deadTokenErrors: options.deadTokenError,
    idleLimitMs: options.idleLimit,
    pinnedIssuer: options.issuer,
    pinnedResource: options.resource === false ? undefined : options.resource,
    resourceParameter: options.resource === false ? 'omit' : options.resource ? 'send' : undefined,
    pkce: options.assumePkce ? 'assumed' : undefined,
    authorizationParameters: options.authParam,
    refreshScope: options.scopeOnRefresh ? 'send' : undefined,
    basicEncoding: options.rawBasic ? 'raw' : undefined,
    transport: options.transport,
  };
}
