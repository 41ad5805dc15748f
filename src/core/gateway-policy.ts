/**
 * What an agent may use of a server through the gateway: tools, prompts and resources. Rules of the server bind every
 * agent, rules of an agent bind it everywhere; both must agree, and a denial by either always wins.
 */
import { fold, type Wanted } from './mcp-message.ts';
import { matchesText, mayCallTool, type ToolPolicy } from './tool-policy.ts';

/** For each kind of thing the patterns that are allowed and denied. */
export interface UseRules {
  tools: ToolPolicy;
  /** Names, as for tools. */
  prompts: ToolPolicy;
  /** URIs, in which `*` stands for anything. */
  resources: ToolPolicy;
}

/** What a server's operator said of all agents. */
export interface ServerPolicy extends UseRules {
  /** Only tools that the server itself marks with `readOnlyHint`. A hint: the server may be wrong, or lie. */
  readOnly: boolean;
  /** Accepted tools by name with the digest of their definition. Null: tools are not pinned. */
  pins: Readonly<Record<string, string>> | null;
}

/** What the server last said of a tool. */
export interface KnownTool {
  digest: string;
  /** Whether it says of itself that it changes nothing. */
  isReadOnly: boolean;
}

export const NO_RULES: ToolPolicy = { allow: [], deny: [] };

export const OPEN_SERVER: ServerPolicy = {
  ...{ tools: NO_RULES, prompts: NO_RULES, resources: NO_RULES },
  ...{ readOnly: false, pins: null },
};

/** Both sets of rules for one agent at one connection. */
export interface Policy {
  connection: string;
  agentName: string;
  agent: UseRules;
  server: ServerPolicy;
}

export interface Verdict {
  isAllowed: boolean;
  /** Which rule said so, for the audit trail: `agent deny`, `server allow`, `pin`, `read-only`, `method` or `none`. */
  rule: string;
}

/** Longer than URIs that programs are sure to take (RFC 9110 §4.1: 8000). */
const LONGEST_URI = 8192;

/** Never throws: what is no UTF-8 becomes a sign that nothing matches. */
const UTF8 = new TextDecoder();

const FREE: Verdict = { isAllowed: true, rule: 'none' };

/**
 * Whether the agent may use this.
 *
 * @param known what the server said of the tool; needed where `needsKnowledge`. Undefined: it has no such tool
 */
export function judge(policy: Policy, wanted: Wanted, known?: KnownTool): Verdict {
  const { agent, server } = policy;
  const bySource = [
    ['agent', rulesFor(agent, wanted.kind)],
    ['server', rulesFor(server, wanted.kind)],
  ] as const;
  for (const [source, rules] of bySource) {
    if (isDenied(rules, policy.connection, wanted)) return { isAllowed: false, rule: `${source} deny` };
  }
  for (const [source, rules] of bySource) {
    if (!isAllowed(rules, policy.connection, wanted)) return { isAllowed: false, rule: `${source} allow` };
  }
  if (wanted.kind === 'tool') {
    const { pins, readOnly } = server;
    if (pins && (!known || !Object.hasOwn(pins, wanted.name) || pins[wanted.name] !== known.digest))
      return { isAllowed: false, rule: 'pin' };
    if (readOnly && !known?.isReadOnly) return { isAllowed: false, rule: 'read-only' };
  }
  const allowing = bySource.find(([, rules]) => rules.allow.length > 0);
  return allowing ? { isAllowed: true, rule: `${allowing[0]} allow` } : FREE;
}

/** Whether what the server says of its tools must be known before one can be judged. */
export function needsKnowledge({ server: { pins, readOnly } }: Policy): boolean {
  return pins !== null || readOnly;
}

/** Whether anything at all is forbidden, so that lists must be filtered and unknown methods refused. */
export function isRestricted({ agent, server }: Policy): boolean {
  const rules = [agent, server].flatMap(({ tools, prompts, resources }) => [tools, prompts, resources]);
  const isBound = rules.some(({ allow, deny }) => allow.length > 0 || deny.length > 0);
  return isBound || server.pins !== null || server.readOnly;
}

/**
 * The rules for one kind. Who is confined to certain tools gets no prompts and resources unless they are allowed: a
 * resource may hold what the tool that was not allowed would have read.
 */
function rulesFor({ tools, prompts, resources }: UseRules, kind: Wanted['kind']): ToolPolicy {
  if (kind === 'tool') return tools;
  const rules = kind === 'prompt' ? prompts : resources;
  const isConfined = tools.allow.length > 0 && rules.allow.length === 0;
  return isConfined ? { ...rules, deny: ['*'] } : rules;
}

function isDenied({ deny }: ToolPolicy, connection: string, { kind, name }: Wanted): boolean {
  if (kind === 'resource') {
    const forms = [...new Set(uriForms(name).flatMap((form) => [form, ...trimmed(form)]))];
    return deny.some((pattern) =>
      forms.some((form) => matchesText(pattern, form) || matchesText(fold(pattern), fold(form))),
    );
  }
  if (!mayCallTool({ allow: [], deny }, connection, name)) return true;
  // A lax server may take other spellings for what is denied.
  const folded = { allow: [], deny: deny.map(foldPattern) };
  return [name, unescaped(name)].some((form) => !mayCallTool(folded, connection, fold(form)));
}

function isAllowed({ allow }: ToolPolicy, connection: string, { kind, name }: Wanted): boolean {
  if (allow.length === 0) return true;
  if (kind !== 'resource') return mayCallTool({ allow, deny: [] }, connection, name);
  // Every reading of it must be allowed: `file:///open/../secret` is two.
  return uriForms(name).every((form) => allow.some((pattern) => matchesText(pattern, form)));
}

/** The URI as written, and as servers may read it: normalised, and with its escapes undone, again and again. */
function uriForms(uri: string): string[] {
  const forms = new Set([uri]);
  for (let form = uri, rounds = 0; rounds < 3; rounds += 1) {
    form = resolved(form);
    forms.add(form);
    forms.add(resolved(withSingleSlashes(form)));
    form = unescaped(form);
    forms.add(form);
  }
  return [...forms];
}

function resolved(uri: string): string {
  return URL.parse(uri.replaceAll('\\', '/'))?.href ?? uri;
}

/** With `//` in the path as file systems read it. */
function withSingleSlashes(uri: string): string {
  return uri.replace(/(?<![:/])\/{2,}/g, '/').replace(/^(file:\/\/\/)\/+/i, '$1');
}

/** Each escape by itself: one that is none must not protect the others. */
function unescaped(uri: string): string {
  return uri.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
    UTF8.decode(Uint8Array.from(escapes.slice(1).split('%'), (digits) => Number.parseInt(digits, 16))),
  );
}

/** Without what servers may overlook: user, query, fragment, and a slash or dots at the end. */
function trimmed(uri: string): string[] {
  const bare = uri.replace(/^([\w+.-]+:\/\/)[^/?#]*@/, '$1');
  const path = bare.replace(/[?#].*$/s, '');
  return [bare, path, path.replace(/[/.\s]+$/, '')];
}

/** Whether somebody may write this as a pattern of resources. */
export function isResourcePattern(text: string): boolean {
  return text.length <= LONGEST_URI && /^[^\p{C}\p{Z}]+$/u.test(text);
}

/** Folds the tool of a pattern, and leaves the connection before the colon as it is. */
function foldPattern(pattern: string): string {
  const colon = pattern.indexOf(':') + 1;
  return pattern.slice(0, colon) + fold(pattern.slice(colon));
}
