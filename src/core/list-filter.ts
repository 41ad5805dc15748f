/**
 * Takes out of a server's answers what the agent may not use, so that a model never hears of it. Lists are recognised
 * by what they are, not by what was asked: an answer may come late, on another stream.
 */
import type { ListMember, Wanted } from './mcp-message.ts';

/** Whether the agent may hear of this. The third is the whole entry of the list. */
export type Shows = (kind: Wanted['kind'], name: string, entry: unknown) => boolean;

interface Naming {
  kind: Wanted['kind'];
  /** Member of an entry that names it. */
  member: string;
}

const NAMING: Readonly<Record<ListMember, Naming>> = {
  tools: { kind: 'tool', member: 'name' },
  prompts: { kind: 'prompt', member: 'name' },
  resources: { kind: 'resource', member: 'uri' },
  resourceTemplates: { kind: 'resource', member: 'uriTemplate' },
};

/**
 * The message, or batch of messages, without what is not shown. The same object when there was nothing to take out.
 * Entries without a name are taken out: nobody could tell what they are.
 */
export function filterLists(message: unknown, shows: Shows): unknown {
  if (Array.isArray(message)) {
    const filtered = message.map((each) => filterLists(each, shows));
    return filtered.some((each, index) => each !== message[index]) ? filtered : message;
  }
  const result = listResult(message);
  if (!result) return message;
  const changes = Object.entries(NAMING).flatMap(([list, naming]) => {
    const entries = result[list];
    if (!Array.isArray(entries)) return [];
    const shown = entries.filter((entry) => isShown(entry, naming, shows));
    return shown.length === entries.length ? [] : [[list, shown] as const];
  });
  if (changes.length === 0) return message;
  return { ...(message as object), result: { ...result, ...Object.fromEntries(changes) } };
}

function listResult(message: unknown): Record<string, unknown> | undefined {
  return isObject(message) && isObject(message.result) ? message.result : undefined;
}

function isShown(entry: unknown, { kind, member }: Naming, shows: Shows): boolean {
  const name = isObject(entry) ? entry[member] : undefined;
  return typeof name === 'string' && shows(kind, name, entry);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
