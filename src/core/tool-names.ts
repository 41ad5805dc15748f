/** Rules that name a tool its server does not have: most likely a slip of the pen, and then a rule without effect. */
import { matchesPattern, parseConnectionName } from './names.ts';
import { connectionOfToolPattern, matchesText, type ToolPolicy } from './tool-policy.ts';

/** A rule that means nothing the server has. */
export interface UnknownName {
  /** Agent whose rule it is. Null: the server's. */
  agent: string | null;
  list: 'allow' | 'deny';
  pattern: string;
  /** Names that look alike, the nearest first; at most three. */
  nearest: string[];
}

/** Whose rules they are. */
export interface RuleSource {
  /** Null: the server itself. */
  agent: string | null;
  rules: ToolPolicy;
  /** Whether it may use other servers too: a rule without a connection may be meant for those. */
  hasOthers: boolean;
}

/**
 * The rules that mean none of these names.
 *
 * What is allowed by a pattern must be there too: else it allows nothing. What is denied by one need not, which is mere
 * precaution.
 */
export function unknownNames(
  { agent, rules, hasOthers }: RuleSource,
  connection: string,
  names: readonly string[],
): UnknownName[] {
  const lists = [
    ['allow', rules.allow],
    ['deny', rules.deny.filter((pattern) => !toolOf(pattern).includes('*'))],
  ] as const;
  return lists.flatMap(([list, patterns]) =>
    patterns
      .filter((pattern) => isMeantFor(pattern, connection, hasOthers))
      .filter((pattern) => !names.some((name) => matchesText(toolOf(pattern), name)))
      .map((pattern) => ({ agent, list, pattern, nearest: nearestTo(toolOf(pattern), names) })),
  );
}

function isMeantFor(pattern: string, connection: string, hasOthers: boolean): boolean {
  const bound = connectionOfToolPattern(pattern);
  if (bound === undefined) return !hasOthers;
  const server = parseConnectionName(connection)?.server ?? connection;
  return matchesPattern(bound, connection) || matchesPattern(bound, server);
}

function toolOf(pattern: string): string {
  return pattern.slice(pattern.indexOf(':') + 1);
}

/** Most names that are offered in place of one. */
const MOST_OFFERED = 3;

/** Longer names are compared as far as this: servers choose them, and comparing costs the square. */
const MOST_COMPARED = 64;

/** Those of the names that somebody may have meant, the nearest first. */
export function nearestTo(wanted: string, names: readonly string[]): string[] {
  const short = wanted.toLowerCase().replaceAll('*', '').slice(0, MOST_COMPARED);
  const limit = Math.max(2, Math.floor(short.length / 3));
  return names
    .map((name) => ({ name, distance: distanceOf(short, name.toLowerCase().slice(0, MOST_COMPARED)) }))
    .filter(({ distance }) => distance <= limit)
    .sort((one, other) => one.distance - other.distance)
    .slice(0, MOST_OFFERED)
    .map(({ name }) => name);
}

/** How many letters must be put in, taken out or changed (Levenshtein). 1 at most where one begins with the other. */
function distanceOf(one: string, other: string): number {
  if (one.length > 2 && (other.startsWith(one) || one.startsWith(other))) return one === other ? 0 : 1;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1];
    for (const [at, its] of [...other].entries()) {
      const changed = (row[at] as number) + (letter === its ? 0 : 1);
      next.push(Math.min(changed, (row[at + 1] as number) + 1, (next[at] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}
