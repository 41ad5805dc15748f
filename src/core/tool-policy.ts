/**
 * Which tools an agent may call. The one place where that is decided, for the lists a server gives and for each call.
 *
 * A pattern is `tool`, for every connection, or `connection:tool`. In the tool `*` stands for anything, and the rest
 * matches to the letter; the connection is a pattern as in `core/names.ts`. Deny always wins over allow.
 */
import { isConnectionPattern, matchesPattern, parseConnectionName } from './names.ts';

export interface ToolPolicy {
  /** Empty: every tool that is not denied. Otherwise only what is named here, on every connection. */
  allow: string[];
  deny: string[];
}

interface ToolPattern {
  /** Undefined: all of them. */
  connection: string | undefined;
  tool: string;
}

/** Longer than any tool's name should be (MCP: 128), with room for the connection. */
const MAX_LENGTH = 300;

/** Whether the agent may call this tool of this connection. */
export function mayCallTool({ allow, deny }: ToolPolicy, connection: string, tool: string): boolean {
  if (deny.some((pattern) => isDeniedBy(pattern, connection, tool))) return false;
  return allow.length === 0 || allow.some((pattern) => isAllowedBy(pattern, connection, tool));
}

/** Whether somebody may write this as a pattern. A space or colon in a tool's name is written as `*`. */
export function isToolPattern(text: string): boolean {
  const { connection, tool } = parse(text);
  if (text.length > MAX_LENGTH || !/^[^\p{C}\p{Z}:]+$/u.test(tool)) return false;
  return connection === undefined || isConnectionPattern(connection);
}

/** The connection a pattern is bound to, itself a pattern. Undefined: it is for all of them. */
export function connectionOfToolPattern(text: string): string | undefined {
  return parse(text).connection;
}

function parse(text: string): ToolPattern {
  const colon = text.indexOf(':');
  if (colon === -1) return { connection: undefined, tool: text };
  return { connection: text.slice(0, colon), tool: text.slice(colon + 1) };
}

function isAllowedBy(text: string, connection: string, name: string): boolean {
  const pattern = parse(text);
  if (pattern.connection !== undefined && !matchesPattern(pattern.connection, connection)) return false;
  return matchesText(pattern.tool, name);
}

/** A tool that is denied on a server is denied for its accounts too: who forgot them should not find it open. */
function isDeniedBy(text: string, connection: string, name: string): boolean {
  const pattern = parse(text);
  if (!matchesText(pattern.tool, name)) return false;
  if (pattern.connection === undefined || matchesPattern(pattern.connection, connection)) return true;
  const server = parseConnectionName(connection)?.server;
  return server !== undefined && matchesPattern(pattern.connection, server);
}

/**
 * Whether the text matches a pattern in which only `*` has a meaning. Without a regular expression: names come from
 * agents, and a long one must not cost more than a look.
 */
export function matchesText(pattern: string, name: string): boolean {
  const [start = '', ...rest] = pattern.split('*');
  const end = rest.pop();
  if (end === undefined) return name === pattern;
  if (name.length < start.length + end.length || !name.startsWith(start) || !name.endsWith(end)) return false;
  const middle = name.slice(start.length, name.length - end.length);
  let from = 0;
  for (const part of rest) {
    const at = middle.indexOf(part, from);
    if (at === -1) return false;
    from = at + part.length;
  }
  return true;
}
