/** What an operator may wish of a server's rules. What cannot be is refused here, before anything is stored. */
import { BrokerError, quote } from '../errors.ts';
import type { ServerPolicy } from './gateway-policy.ts';
import { matchesPattern } from './names.ts';
import { connectionOfToolPattern, isToolPattern, type ToolPolicy } from './tool-policy.ts';

/** What to change. Undefined: as it was. Lists replace those there are; empty ones clear them. */
export interface ServerChanges {
  allow?: string[] | undefined;
  deny?: string[] | undefined;
  promptAllow?: string[] | undefined;
  promptDeny?: string[] | undefined;
  resourceAllow?: string[] | undefined;
  resourceDeny?: string[] | undefined;
  readOnly?: boolean | undefined;
  /** Accepted tools by name with their digest; null: tools are not pinned any more. */
  pins?: Readonly<Record<string, string>> | null | undefined;
}

/** Longer than any URI somebody would write a rule for. */
const LONGEST_RESOURCE = 2000;

/** The rules after the changes. Throws `usage` for changes that cannot be. */
export function changeServerPolicy(
  server: string,
  before: ServerPolicy,
  changes: ServerChanges,
): ServerPolicy {
  const changed = {
    tools: lists(before.tools, changes.allow, changes.deny),
    prompts: lists(before.prompts, changes.promptAllow, changes.promptDeny),
    resources: lists(before.resources, changes.resourceAllow, changes.resourceDeny),
    readOnly: changes.readOnly ?? before.readOnly,
    pins: changes.pins === undefined ? before.pins : changes.pins,
  };
  for (const pattern of [changed.tools, changed.prompts].flatMap(({ allow, deny }) => [...allow, ...deny]))
    requireNamePattern(server, pattern);
  for (const pattern of [...changed.resources.allow, ...changed.resources.deny])
    requireResourcePattern(pattern);
  for (const { allow, deny } of [changed.tools, changed.prompts, changed.resources])
    for (const list of [allow, deny]) requireEachOnce(list);
  return changed;
}

function lists(before: ToolPolicy, allow: string[] | undefined, deny: string[] | undefined): ToolPolicy {
  return { allow: allow ?? before.allow, deny: deny ?? before.deny };
}

function requireNamePattern(server: string, pattern: string): void {
  const hint = "write a name such as 'read_*'; a space or colon in a name as *";
  if (!isToolPattern(pattern))
    throw new BrokerError('usage', `${quote(pattern)} is not a name or pattern`, { hint });
  const bound = connectionOfToolPattern(pattern)?.split('@')[0];
  if (bound === undefined || matchesPattern(bound, server)) return;
  throw new BrokerError('usage', `${quote(pattern)} is for another server than ${server}`, { hint });
}

function requireResourcePattern(pattern: string): void {
  if (pattern.length <= LONGEST_RESOURCE && /^[^\p{C}\p{Z}]+$/u.test(pattern)) return;
  throw new BrokerError('usage', `${quote(pattern)} is not a URI or pattern`, {
    hint: "write a URI, in which * stands for anything: 'file:///notes/*'",
  });
}

function requireEachOnce(patterns: string[]): void {
  const twice = patterns.find((pattern, index) => patterns.indexOf(pattern) !== index);
  if (twice !== undefined)
    throw new BrokerError('usage', `${quote(twice)} is named twice`, { hint: 'name each once' });
}
