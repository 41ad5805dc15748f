import { Command } from 'commander';
import type { ConnectionView } from '../../broker/connections.ts';
import { OPERATOR } from '../../broker/context.ts';
import { type CredentialKind, describeKind, isStatic } from '../../core/credential-kind.ts';
import { duration } from '../../core/duration.ts';
import { printable } from '../../errors.ts';
import { asOperator, openSession } from '../session.ts';
import { relative, result, resultJson } from '../terminal.ts';
import { paintState } from './list.ts';

/** `broker show`: one connection in full. */
export function showCommand(): Command {
  return new Command('show')
    .description('one connection in full; never a secret')
    .addHelpText('after', '\nExamples:\n  broker show coda\n  broker show notion@alice --json')
    .argument('<connection>')
    .option('--json', 'as JSON')
    .action(async (name: string, { json }: { json?: boolean }, command: Command) => {
      const view = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.show(OPERATOR, name),
      );
      if (json) return resultJson(view);
      for (const [label, value] of lines(view))
        if (value !== undefined) result(`${label.padEnd(16)}${value}`);
    });
}

/** Longest value shown, in characters. */
const MAX_TOLD = 2000;

const TRANSPORTS: Readonly<Record<string, string>> = {
  sse: 'HTTP with SSE, the one before Streamable HTTP',
  stdio: 'stdio: a program on this machine, reached through the gateway',
};
const PROCESSES: Readonly<Record<string, string>> = {
  session: 'one for each session',
  shared: 'one, shared by all sessions',
};

function lines(view: ConnectionView): [string, string | undefined][] {
  const now = Date.now();
  // What servers chose, such as a client id, may hold anything.
  const told = (value: string | undefined) => value && printable(value, MAX_TOLD);
  const when = (instant: string | undefined) => instant && `${instant} (${relative(instant, now)})`;
  return [
    ['name', view.name],
    ['url', told(view.url)],
    ['resource', told(view.resource)],
    ['kind', describe(view.kind)],
    ['account', view.account ?? (isByHand(view) ? undefined : 'not told by the server')],
    ['state', `${paintState(view.state)} since ${view.since}`],
    ['code', told(view.code)],
    ['cause', told(view.cause)],
    ['next attempt', when(view.next_attempt_at)],
    ['what to do', view.next_step],
    ['scope', told(view.scope)],
    ['token ends', when(view.expires_at) ?? (view.kind === 'none' ? undefined : 'unknown')],
    ['refresh token', refreshToken(view)],
    ['refresh from', when(view.refresh_after)],
    [isByHand(view) ? 'entered' : 'last refreshed', when(view.last_refreshed_at)],
    ['last used', when(view.last_used_at) ?? 'never'],
    ['generation', String(view.generation)],
    ['issuer', told(view.issuer)],
    ['client id', view.client_id && `${told(view.client_id)} (${view.client_source})`],
    ['client secret', view.client_secret_expires_at && `ends ${when(view.client_secret_expires_at)}`],
    ['redirect uri', told(view.redirect_uri)],
    ['idle limit', idleLimit(view)],
    ['recovery', view.refresh_token ? `${view.recovery} when the answer to a refresh was lost` : undefined],
    ['must be', told(view.expected_account)],
    ['client auth', told(view.auth_method)],
    ['client jwks', view.client_jwks && JSON.stringify(view.client_jwks)],
    ['issuer pinned', told(view.pinned_issuer)],
    ['resource pinned', told(view.pinned_resource)],
    ['resource', view.resource_parameter && 'not named in requests (RFC 8707 left out)'],
    ['scope', view.refresh_scope && 'repeated at each refresh'],
    ['HTTP Basic', view.basic_encoding && 'client id and secret are not encoded'],
    ['PKCE', view.redirect_uri && view.pkce && 'assumed, the server does not announce it'],
    ['asked scope', told(view.requested_scope)],
    ['asked also', told(view.authorization_parameters)],
    ['ended login', told(view.ended_login_texts)],
    ['network', view.network && 'private: its URLs may lead into the local network'],
    ['tokens by', told(view.grant)],
    ['transport', TRANSPORTS[view.transport ?? '']],
    ['command', told(view.command)],
    ['arguments', told(view.arguments?.map((each) => JSON.stringify(each)).join(' '))],
    ['directory', told(view.directory)],
    ['environment', told(variables(view.environment))],
    ['processes', view.processes && PROCESSES[view.processes]],
    ['idle end', view.idle_end_seconds === undefined ? undefined : `after ${view.idle_end_seconds} s unused`],
    ['dead token', view.dead_token_errors && `said as ${told(view.dead_token_errors)}`],
    ['created', view.created_at],
  ];
}

const isByHand = ({ kind }: ConnectionView) => isStatic(kind as CredentialKind);

/** A newer daemon may know more kinds. */
function describe(kind: string): string {
  const words = describeKind(kind as CredentialKind) as string | undefined;
  return words === undefined ? kind : `${kind}: ${words}`;
}

function idleLimit({ idle_limit_seconds: seconds }: ConnectionView): string | undefined {
  return seconds === undefined
    ? undefined
    : `an unused refresh token is kept for ${duration(seconds * 1000)}`;
}

function refreshToken(view: ConnectionView): string | undefined {
  if (isByHand(view)) return undefined;
  if (view.refresh_token) return 'yes';
  return view.grant ? 'not needed' : 'no: the login ends with its access token';
}

/** Undefined: there are none, or it is no program. */
function variables(environment: ConnectionView['environment']): string | undefined {
  const told = Object.entries(environment ?? {}).map(([name, value]) => `${name}=${value}`);
  return told.length === 0 ? undefined : told.join(' ');
}
