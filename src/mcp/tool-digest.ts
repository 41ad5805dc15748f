/**
 * What a tool is, in one short text: a pinned tool that is described in other words, or takes other arguments, is
 * another tool. Descriptions count, because it is they that a model acts on.
 */
import { hash } from 'node:crypto';
import type { KnownTool } from '../core/gateway-policy.ts';

/** Digest of the whole definition; the order of members does not matter. */
export function knownTool(definition: Readonly<Record<string, unknown>>): KnownTool {
  const { annotations } = definition;
  const isReadOnly =
    typeof annotations === 'object' &&
    annotations !== null &&
    (annotations as { readOnlyHint?: unknown }).readOnlyHint === true;
  // Not part of what a tool is: it may differ from answer to answer. Further down it would be a name like any other.
  const { _meta, ...told } = definition;
  return { digest: hash('sha256', canonical(told), 'base64url'), isReadOnly };
}

/** JSON with members in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}
