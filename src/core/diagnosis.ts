/** What `broker doctor` finds: a verdict for each step, the rules behind some of them, and what they come to. */
import { BrokerError, type ErrorCode, printable } from '../errors.ts';
import { enteringCommand, wideningCommand } from './connection.ts';

/** In the order in which they are told: what comes first can be the reason for what comes later. */
export const STEPS = [
  'key',
  'files',
  'clock',
  'discovery',
  'registration',
  'redirect',
  'token',
  'initialize',
] as const;
/** `tools` is there only where a rule names a tool. */
export type StepName = (typeof STEPS)[number] | 'tools';

export type Verdict = 'ok' | 'warning' | 'failed' | 'skipped';

/** What one step found. */
export interface Outcome {
  verdict: Verdict;
  /** One line, safe to show. */
  message: string;
  /** What to do, usually a command; each on a line of its own. */
  remedy?: string;
  /** Of a failure that has a section in `docs/errors.md`. */
  code?: ErrorCode;
}

export interface Step extends Outcome {
  step: StepName;
}

/** The steps of one connection, of a server that is not connected, or of the vault. As shown, in JSON too. */
export interface Diagnosis {
  target: string;
  steps: Step[];
}

/** A step with nothing to do. */
export function fine(message: string): Outcome {
  return { verdict: 'ok', message };
}

/** A step that needs attention soon. */
export function warning(message: string, remedy?: string): Outcome {
  return { verdict: 'warning', message, ...(remedy === undefined ? {} : { remedy }) };
}

/** A step that needs somebody now. */
export function failed(message: string, remedy?: string, code?: ErrorCode): Outcome {
  return {
    ...warning(message, remedy),
    verdict: 'failed',
    ...(code === undefined ? {} : { code }),
  };
}

/** A step that could not be done. */
export function skipped(reason: string, remedy?: string): Outcome {
  return { ...warning(reason, remedy), verdict: 'skipped' };
}

/** A failure as a finding. What is not ours is a fault of the program and thrown on. */
export function failedBy(error: unknown): Outcome {
  if (!(error instanceof BrokerError)) throw error;
  return failed(error.message, error.hint, error.code);
}

/** The worse of two outcomes leads; what else is found comes behind it. */
export function together(first: Outcome, second: Outcome): Outcome {
  const [lead, other] = weight(second) > weight(first) ? [second, first] : [first, second];
  const remedies = [lead.remedy, other.remedy].filter((each) => each !== undefined);
  return {
    ...lead,
    message: `${lead.message}; ${other.message}`,
    ...(remedies.length === 0 ? {} : { remedy: remedies.join('\n') }),
  };
}

function weight({ verdict }: Outcome): number {
  return ['skipped', 'ok', 'warning', 'failed'].indexOf(verdict);
}

/** 3: the vault; 2: somebody must act; 75: a provider or the network is down; 1: soon; 0: nothing. */
export type DiagnosisCode = 0 | 1 | 2 | 3 | 75;

/** The worst first. */
const BY_WEIGHT: DiagnosisCode[] = [3, 2, 75, 1, 0];

const VAULT_STEPS = new Set<StepName>(['key', 'files']);

/** Exit code of `broker doctor`. Steps that were skipped have their reason in another one. */
export function diagnosisCode(diagnoses: Diagnosis[]): DiagnosisCode {
  const codes = diagnoses.flatMap(({ steps }) => steps.map(codeOf));
  return BY_WEIGHT.find((code) => codes.includes(code)) ?? 0;
}

function codeOf({ step, verdict, code }: Step): DiagnosisCode {
  if (verdict !== 'failed') return verdict === 'warning' ? 1 : 0;
  if (VAULT_STEPS.has(step) || code?.startsWith('vault_')) return 3;
  return code === 'upstream_unavailable' ? 75 : 2;
}

/** A clock that is wrong by less hurts nobody: tokens are renewed earlier than that. */
const CLOCK_WARNING_MS = 30_000;
/** Lifetimes of five minutes are usual for signed assertions, and the shortest for tokens. */
const CLOCK_FAILURE_MS = 5 * 60_000;

const CLOCK_REMEDY =
  'set the clock of this machine by NTP (timedatectl set-ntp true): tokens are judged by it';

/** How far our clock is from another. */
export interface Skew {
  /** Positive: ours is ahead. */
  ms: number;
  /** Whose the other one is. */
  host: string;
}

/** Our clock against that of servers: one that agrees with it is enough. Undefined: none told its time. */
export function clockAgainstServers(skews: Skew[]): Outcome {
  const [least] = skews.toSorted((a, b) => Math.abs(a.ms) - Math.abs(b.ms));
  if (least === undefined) return skipped('no server told its time');
  const by = Math.abs(least.ms);
  const host = printable(least.host);
  if (by < CLOCK_WARNING_MS) return fine(`agrees with ${host}`);
  const message = `${inWords(by)} ${least.ms > 0 ? 'ahead of' : 'behind'} ${host}`;
  return by < CLOCK_FAILURE_MS ? warning(message, CLOCK_REMEDY) : failed(message, CLOCK_REMEDY);
}

/** Our clock against what was written in the vault, at the latest before now. */
export function clockAgainstVault(newestAt: number, now: number): Outcome {
  const by = newestAt - now;
  if (by < CLOCK_WARNING_MS) return fine('nothing in the vault is from the future');
  const message = `the vault was written ${inWords(by)} in the future: the clock was set back, or was wrong then`;
  return by < CLOCK_FAILURE_MS ? warning(message, CLOCK_REMEDY) : failed(message, CLOCK_REMEDY);
}

function inWords(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 2 * 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** How a login would get a client at an authorization server. */
export type RegistrationWay = 'configured' | 'document' | 'dynamic' | 'none';

/** In the order of the MCP specification: a client we have been given, a metadata document, registration. */
export function registrationWay(
  known: readonly string[],
  server: { takesDocuments: boolean; registers: boolean },
): RegistrationWay {
  if (known.includes('configured')) return 'configured';
  if (server.takesDocuments && (known.includes('metadata_document') || !server.registers)) return 'document';
  return server.registers ? 'dynamic' : 'none';
}

/** Characters a scope can have and a shell leaves alone between double quotes. @see RFC 6749 §3.3 */
const PLAIN_SCOPE = /^[\w:./~+*@#%&=,;?-]+$/;

/**
 * The command that connects again with further scopes. Words that a shell would act on are left out: they come from
 * the server, and the line is made to be copied.
 *
 * @param scopes space separated; those granted and those demanded
 */
export function scopeCommand(
  connection: Parameters<typeof wideningCommand>[0],
  ...scopes: (string | null | undefined)[]
): string {
  const words = scopes.flatMap((each) => each?.split(' ') ?? []).filter((word) => PLAIN_SCOPE.test(word));
  const wanted = [...new Set(words)].join(' ');
  return wanted === ''
    ? enteringCommand(connection)
    : wideningCommand(connection, `"${printable(wanted, MAX_COMMAND)}"`);
}

/** A longer list is no list for people. */
const MAX_COMMAND = 2000;
