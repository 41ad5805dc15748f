/**
 * Calls a server as one connection, to see whether its credential is still taken. One that is refused is renewed once,
 * by the one refresh path, as the gateway does: the server may merely have ended the token early.
 */
import type { CheckCode } from '../core/check-policy.ts';
import { enteringCommand, isRenewable } from '../core/connection.ts';
import { isStatic } from '../core/credential-kind.ts';
import { scopeCommand } from '../core/diagnosis.ts';
import { sourceOf } from '../core/grant.ts';
import { BrokerError, printable } from '../errors.ts';
import type { Fetch } from '../oauth/http.ts';
import { type ProbeAnswer, probeEventStream, probeInitialize, probeResource } from '../oauth/probe.ts';
import type { StoredConnection } from '../vault/connections.ts';
import { findServer, listServers, type Server } from '../vault/servers.ts';
import { findFor } from './access.ts';
import type { Caller, Context } from './context.ts';
import { obtainHeaders } from './headers.ts';
import { openProgram, type ProgramStart } from './program.ts';

/** Time for all calls of one probe together; a refresh in between has its own. */
const PROBE_DEADLINE_MS = 10_000;

/**
 * Starts a program, begins a session and ends both: name and version of the server, as it told them. Throws
 * `upstream_unavailable`.
 */
export type AskProgram = (start: ProgramStart, signal: AbortSignal) => Promise<string | undefined>;

/** What a call of the server came to. */
export interface Probed {
  code: CheckCode;
  /** HTTP status of the last answer. Absent: none came, or it is a program. */
  status?: number;
  message: string;
  nextStep: string | null;
}

/** JSON-RPC errors of servers that let us in and know no `initialize`: MCP 2026-07-28 has no such message. */
const KNOWS_NO_INITIALIZE = [-32_601, -32_022];

/** Exit code of what stands in the way of a probe. What is not here is no finding. */
const CODES: { [code in BrokerError['code']]?: CheckCode } = {
  login_required: 2,
  client_invalid: 2,
  config_error: 2,
  account_mismatch: 2,
  discovery_failed: 2,
  upstream_unavailable: 75,
  rate_limited: 75,
};

/**
 * Probes the connection of this name. Throws what stands in the way and says nothing about the credential: `not_found`,
 * and what is wrong with the vault.
 */
export async function probeConnection(
  context: Context,
  caller: Caller,
  name: string,
  askProgram: AskProgram,
): Promise<Probed> {
  const stored = await findFor(context, caller, name);
  const deadline = startDeadline(context);
  try {
    const server = await context.vault.run(() => findServer(stored.server));
    if (!server) throw new Error('a connection without a server');
    if (server.url === null) return await probeProgram(context, caller, name, askProgram, deadline.signal);
    return await probeUrl(context, caller, name, server, deadline.signal);
  } catch (error) {
    const code = error instanceof BrokerError ? CODES[error.code] : undefined;
    if (!(error instanceof BrokerError) || code === undefined) throw error;
    // What goes wrong on the wire names no connection, and knows no command.
    const nextStep = error.connection === undefined ? `broker doctor ${name}` : (error.hint ?? null);
    return { code, message: error.message, nextStep };
  } finally {
    deadline.clear();
  }
}

/** By the clock of the broker, so that a machine that slept does not blame the server. */
function startDeadline({ clock }: Context): { signal: AbortSignal; clear(): void } {
  const late = new AbortController();
  const waiting = new AbortController();
  const reason = new DOMException('no answer came in time', 'TimeoutError');
  clock.wait(PROBE_DEADLINE_MS, waiting.signal).then(
    () => late.abort(reason),
    () => {},
  );
  return { signal: late.signal, clear: () => waiting.abort() };
}

async function probeProgram(
  context: Context,
  caller: Caller,
  name: string,
  askProgram: AskProgram,
  signal: AbortSignal,
): Promise<Probed> {
  const told = await askProgram(await openProgram(context, caller, name), signal);
  return fine(`${told ?? 'the program'} has started and answers`);
}

async function probeUrl(
  context: Context,
  caller: Caller,
  name: string,
  server: Server,
  signal: AbortSignal,
): Promise<Probed> {
  const first = await call(context, caller, name, server, signal);
  const { stored, answer, generation } = first;
  if (!isRefused(answer, server) || isStatic(stored.kind) || !isRenewable(stored)) {
    return judge(answer, stored, server);
  }
  try {
    const again = await call(context, caller, name, server, signal, generation);
    const isStillRefused = isRefused(again.answer, server);
    return judge(
      again.answer,
      again.stored,
      server,
      isStillRefused ? ', and one refreshed just now too' : '',
    );
  } catch (error) {
    if (!(error instanceof BrokerError) || !CODES[error.code]) throw error;
    // Too fresh to be refreshed again: its age is not what the server minds.
    if (error.code === 'rate_limited') return judge(answer, stored, server, ', which is a fresh one');
    const code = CODES[error.code] ?? 2;
    const message = `the server refuses the token (${toldOf(answer)}), and ${error.message}`;
    return { code, status: answer.status, message, nextStep: error.hint ?? null };
  }
}

/** One probe, with a token refreshed if need be: also when `rejectedGeneration` is still the current one. */
async function call(
  context: Context,
  caller: Caller,
  name: string,
  server: Server,
  signal: AbortSignal,
  rejectedGeneration?: number,
): Promise<{ stored: StoredConnection; answer: Answer; generation: number }> {
  const stored = await findFor(context, caller, name);
  const { granted } = await obtainHeaders(context, caller, stored, { rejectedGeneration });
  const { grant, network, transport } = server.settings;
  // Where nothing is discovered, nothing was learned of the network: an operator typed the URL.
  const isTyped = isStatic(stored.kind) || grant?.kind === 'forward';
  const fetch = within(context.fetchFor(isTyped ? 'private' : network), signal);
  const headers = Object.entries(granted.headers);
  const url = server.url ?? '';
  const answer =
    transport === 'sse'
      ? await probeEventStream(url, headers, fetch)
      : (await isIdentity(context, server))
        ? reached(await probeResource(url, headers, fetch))
        : await probeAny(url, headers, fetch);
  return { stored, answer, generation: granted.generation };
}

/** Ends calls at the deadline of the whole probe, if not at one of their own. */
function within(fetch: Fetch, deadline: AbortSignal): Fetch {
  return (url, { signal, ...init } = {}) =>
    fetch(url, { ...init, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
}

/** Whether it tells others who somebody is: then there is nobody to speak MCP with. */
async function isIdentity({ vault }: Context, { name }: Server): Promise<boolean> {
  const servers = await vault.run(() => listServers());
  return servers.some(({ settings }) => sourceOf(settings.grant) === name);
}

/** What a server answered; `reached`: it is there, and tells nothing of the credential. */
type Answer = ProbeAnswer | { kind: 'reached'; status: number };

/** Many who tell who somebody is have nothing at their address itself: that they answer is all there is to learn. */
function reached(answer: ProbeAnswer): Answer {
  const { kind, status } = answer;
  return kind === 'refused' && status === 404 ? { kind: 'reached', status } : answer;
}

/** What does not answer like an MCP server may be another resource, or speak the older transport. */
async function probeAny(...asked: Parameters<typeof probeInitialize>): Promise<ProbeAnswer> {
  const answer = await probeInitialize(...asked);
  if (answer.kind !== 'refused' || answer.status === 403) return answer;
  const other = await probeResource(...asked);
  return other.kind === 'refused' && other.status !== 403 ? answer : other;
}

/** Also by servers that answer 200 and say in words that the login has ended. */
function isRefused(answer: Answer, { settings }: Server): boolean {
  if (answer.kind === 'token_refused') return true;
  return (
    answer.kind === 'not_initialized' && settings.endedLoginTexts.some((text) => answer.told.includes(text))
  );
}

/** @param besides what else is known of a token that is refused */
function judge(answer: Answer, stored: StoredConnection, server: Server, besides = ''): Probed {
  const { status } = answer;
  const { name, scope } = stored;
  const found = (code: CheckCode, message: string, nextStep: string | null): Probed => ({
    ...{ code, status, message, nextStep },
  });
  if (isRefused(answer, server)) {
    if (stored.kind === 'none') {
      const message = `the server wants a credential after all (${toldOf(answer)})`;
      return found(2, message, `broker add ${name} --bearer-file <file>`);
    }
    const what = isStatic(stored.kind) ? 'credential' : 'token';
    return found(2, `the server refuses the ${what} (${toldOf(answer)})${besides}`, enteringCommand(stored));
  }
  switch (answer.kind) {
    case 'reached':
      return { ...fine(`the server answers (${status}), and tells nothing of the credential`), status };
    case 'initialized':
      return { ...fine(`${answer.server ?? 'the server'} takes the credential (${status})`), status };
    case 'not_initialized':
      if (KNOWS_NO_INITIALIZE.includes(answer.code ?? 0))
        return { ...fine(`the server takes the credential (${status})`), status };
      return found(
        1,
        `the server let it in, and answered with an error: ${answer.told}`,
        `broker doctor ${name}`,
      );
    case 'insufficient_scope': {
      const had = scope ?? server.settings.scopes.join(' ');
      const wanted = printable(answer.scope ?? 'not told');
      const message = `403 insufficient_scope: the rights of the login are too small (wanted: ${wanted})`;
      return found(2, message, scopeCommand(stored, had, answer.scope));
    }
    case 'unavailable':
      return found(75, `the server is out of order (${answer.told})`, null);
    case 'refused':
      if (status === 403) return found(2, `the server forbids it (${answer.told})`, `broker doctor ${name}`);
      return found(1, `nothing answers there as it should (${answer.told})`, `broker doctor ${name}`);
    case 'token_refused':
      throw new TypeError('judged above');
  }
}

function toldOf(answer: Answer): string {
  return 'told' in answer ? answer.told : `${answer.status}`;
}

function fine(message: string): Probed {
  return { code: 0, message, nextStep: null };
}
