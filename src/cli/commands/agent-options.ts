/** Options that say what an agent may do, for `broker agent add` and `broker agent set`. */
import { InvalidArgumentError, Option } from 'commander';
import type { AgentView } from '../../broker/agent-view.ts';
import type { AccessMode } from '../../core/access-policy.ts';
import { parseRate } from '../../core/rate-limit.ts';
import { durationMs } from '../arguments.ts';

/** Every way an agent may use a connection. */
export const MODES: AccessMode[] = ['token', 'gateway'];

/** `--mode token,gateway`. */
export const modeOption = () =>
  new Option('--mode <modes>', 'token, gateway or both, separated by a comma').argParser(readModes);

/** `--tool-allow`. */
export const toolAllowOption = () =>
  new Option(
    '--tool-allow <tool>',
    "tool or pattern it may call through the gateway, such as 'read_*' or 'coda:read_*', and no other (repeatable)",
  ).argParser(collectPatterns);

/** `--tool-deny`. */
export const toolDenyOption = () =>
  new Option(
    '--tool-deny <tool>',
    'tool or pattern it may not call, whatever is allowed (repeatable)',
  ).argParser(collectPatterns);

/** `--rate`. */
export const rateOption = () =>
  new Option(
    '--rate <rate>',
    'requests it may make, such as 600/m; also /s and /h (default: no limit)',
  ).argParser(parseRate);

/** `--expires`. */
export const expiresOption = () =>
  new Option(
    '--expires <end>',
    'when the agent ends: 90d from now, or a date such as 2027-01-31, at 00:00 UTC (default: never)',
  ).argParser(readEnd);

/** `--allow-unknown`. */
export const allowUnknownOption = () =>
  new Option('--allow-unknown', 'also allow connections that are not there yet');

/** Adds each use; `--no-…` before it is forgotten. */
export function collectPatterns(value: string, previous: string[] | boolean | undefined): string[] {
  return [...(Array.isArray(previous) ? previous : []), value];
}

/** Modes separated by commas, or repeated. */
export function readModes(value: string, previous: AccessMode[] | undefined): AccessMode[] {
  const wanted = [...(previous ?? []), ...value.split(',').map((each) => each.trim())];
  const known = MODES.filter((mode) => wanted.includes(mode));
  if (known.length === wanted.length) return known;
  throw new InvalidArgumentError('a mode is token, gateway, or both separated by a comma');
}

/** `90d` from now, a date, or an instant as `broker agent show` prints it. Epoch ms. */
export function readEnd(value: string): number {
  if (!/^\d{4}-/.test(value)) return Date.now() + durationMs(value);
  const [, date, time = 'T00:00:00Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(value) ?? [];
  // Some dates that are none would become the one after: 31 April.
  const isDate = date !== undefined && new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date);
  const end = isDate ? Date.parse(`${date}${time}`) : Number.NaN;
  if (!Number.isNaN(end)) return end;
  throw new InvalidArgumentError('write a duration such as 90d, or a date such as 2027-01-31');
}

/** What the agent may do, in one line. */
export function describeRights({ allow, modes, tool_allow, tool_deny, ...agent }: AgentView): string {
  return [
    `may use ${allow.join(', ')} (${modes.join(', ')})`,
    ...(tool_allow ? [`tools ${tool_allow.join(', ')}`] : []),
    ...(tool_deny ? [`not ${tool_deny.join(', ')}`] : []),
    ...(agent.rate === undefined ? [] : [`at most ${agent.rate}`]),
    ...(agent.expires_at === undefined ? [] : [`until ${agent.expires_at}`]),
    ...(agent.admin ? ['as an admin'] : []),
  ].join('; ');
}
