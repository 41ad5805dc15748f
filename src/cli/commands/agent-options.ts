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
export function describeRights(agent: AgentView): string {
  const { allow, modes, concurrency, max_body, idle_timeout, call_timeout } = agent;
  return [
    `may use ${allow.join(', ')} (${modes.join(', ')})`,
    ...describeRules('tools', agent.tool_allow, agent.tool_deny),
    ...describeRules('prompts', agent.prompt_allow, agent.prompt_deny),
    ...describeRules('resources', agent.resource_allow, agent.resource_deny),
    ...(agent.rate === undefined ? [] : [`at most ${agent.rate}`]),
    ...(concurrency === undefined ? [] : [`${concurrency} calls at a time`]),
    ...(max_body === undefined ? [] : [`requests up to ${max_body}`]),
    ...(idle_timeout === undefined ? [] : [`calls idle up to ${idle_timeout}`]),
    ...(call_timeout === undefined ? [] : [`calls up to ${call_timeout}`]),
    ...(agent.expires_at === undefined ? [] : [`until ${agent.expires_at}`]),
    ...(agent.admin ? ['as an admin'] : []),
  ].join('; ');
}

function describeRules(kind: string, allow: string[] | undefined, deny: string[] | undefined): string[] {
  return [
    ...(allow ? [`${kind} ${allow.join(', ')}`] : []),
    ...(deny ? [`not ${kind === 'tools' ? '' : `${kind} `}${deny.join(', ')}`] : []),
  ];
}
