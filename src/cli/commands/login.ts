import { Command, Option } from 'commander';
import type { ConnectedEvent, LoginEvent } from '../../broker/login-events.ts';
import { AUTH_METHODS, type AuthMethod } from '../../core/auth-methods.ts';
import { RECOVERY_POLICIES, type RecoveryPolicy } from '../../core/recovery.ts';
import { collect, collectScopes, durationMs, port, readSecretFile } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { pastedLines } from '../stdin.ts';
import { duration, resultJson, say, succeed, warn } from '../terminal.ts';

interface LoginOptions {
  name?: string;
  account?: string;
  scope?: string[];
  browser: boolean;
  callbackPort?: number;
  clientId?: string;
  clientSecretFile?: string;
  authMethod?: AuthMethod;
  recovery?: RecoveryPolicy;
  deadTokenError?: string[];
  timeout?: number;
  json?: boolean;
}

/** `broker login`: sign in once. */
export function loginCommand(): Command {
  return new Command('login')
    .description('sign in once; the broker keeps the login and refreshes it')
    .argument('<url|connection>', 'URL of the MCP server, or a connection to sign in to again')
    .option('--name <name>', 'name of the connection (default: from the host)')
    .option('--account <account>', 'keep it beside others of the same server, as name@account')
    .option(
      '--scope <scope>',
      'ask for this scope instead of what the server suggests (repeatable)',
      collectScopes,
    )
    .option('--no-browser', 'print the link and also take a pasted redirect URL')
    .option('--callback-port <port>', 'port the browser comes back to (default: drawn once)', port)
    .option('--client-id <id>', 'OAuth client to use where the server registers none by itself')
    .option('--client-secret-file <file>', 'its secret; - for stdin')
    .addOption(new Option('--auth-method <method>', 'how the client authenticates').choices(AUTH_METHODS))
    .addOption(
      new Option('--recovery <policy>', 'when the answer to a refresh was lost (default: retry)').choices(
        RECOVERY_POLICIES,
      ),
    )
    .option(
      '--dead-token-error <code>',
      'error code by which this server says that a refresh token is dead (repeatable)',
      collect,
    )
    .option('--timeout <duration>', 'how long to wait for the sign-in, such as 5m (default: 15m)', durationMs)
    .option('--json', 'one JSON object a line for each event')
    .addHelpText('after', EXAMPLES)
    .action(async (target: string, options: LoginOptions, command: Command) => run(target, options, command));
}

const EXAMPLES = `
Examples:
  broker login https://coda.io/apis/mcp
  broker login https://mcp.notion.com/mcp --account acme
  broker login coda                       sign in again, keeping name and agents
  broker login https://mcp.example.com/mcp --client-id abc --client-secret-file secret.txt`;

async function run(target: string, options: LoginOptions, command: Command): Promise<void> {
  const session = openSession(command);
  const isJson = options.json === true;
  const wantsBrowser = options.browser && session.settings.hasLocalScreen;
  const { clientSecretFile, callbackPort, clientId, authMethod, name, account } = options;
  const clientSecret =
    clientSecretFile === undefined ? undefined : readSecretFile(clientSecretFile, '--client-secret-file');
  const interrupt = new AbortController();
  const release = onStop(() => interrupt.abort());
  const paste = clientSecretFile === '-' ? undefined : pastedLines(!options.browser);
  try {
    await asOperator(session, { create: true, watchesSignals: true }, (broker) =>
      broker.login(
        {
          ...{ target, name, account, callbackPort, clientId, clientSecret, authMethod },
          scopes: options.scope ?? [],
          recovery: options.recovery,
          deadTokenErrors: options.deadTokenError,
          timeoutMs: options.timeout,
        },
        {
          onEvent(event) {
            if (isJson) resultJson(event, { indent: false });
            else tell(event, wantsBrowser, paste !== undefined);
            if (event.event === 'authorization_url' && wantsBrowser) void openBrowser(event.url);
          },
          notify: (message) => warn(message),
          pasted: paste?.lines,
          signal: interrupt.signal,
        },
      ),
    );
  } finally {
    paste?.close();
    release();
  }
}

/** The events in words. */
function tell(event: LoginEvent, opensBrowser: boolean, canPaste: boolean): void {
  switch (event.event) {
    case 'discovered':
      say(`signing in at ${event.issuer}`);
      break;
    case 'registered':
      break;
    case 'authorization_url':
      say(
        `\n${opensBrowser ? 'your browser should open; if not, open this link' : 'open this link in any browser'}:\n`,
      );
      say(`  ${event.url}\n`);
      say(`then come back here; waiting at ${event.redirect_uri}`);
      if (canPaste) {
        say('browser on another machine? after approving it will show a page that cannot be reached:');
        say('copy the whole address of that page and paste it here');
      }
      break;
    case 'connected':
      tellConnected(event);
  }
}

function tellConnected(event: ConnectedEvent): void {
  say();
  succeed(`${event.connection} is connected`);
  say(`  account        ${event.account ?? 'not told by the server'}`);
  say(`  scope          ${event.scope ?? 'not told by the server'}`);
  say(
    `  access token   ${event.expires_in === undefined ? 'expiry not told' : `ends in ${duration(event.expires_in * 1000)}`}`,
  );
  say(`  refresh token  ${event.refresh_token ? 'received; the broker keeps the login alive' : 'NONE'}`);
  if (!event.refresh_token) {
    warn('the server gave no refresh token: this login ends with its access token and nobody can renew it');
    say('  → ask the server’s operator for offline access, or try --scope with offline_access added');
  }
  say(`\nnext: broker agent add <name> --allow ${event.connection}`);
}

/** Tries; the link is printed anyway, and an opener that fails is no reason to stop. */
async function openBrowser(url: string): Promise<void> {
  try {
    const { default: open } = await import('open');
    const child = await open(url);
    child.on('error', () => {});
    child.unref();
  } catch {
    warn('no browser could be started; open the link yourself');
  }
}
