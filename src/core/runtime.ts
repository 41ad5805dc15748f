/** An agent runtime, what the broker knows about configuring it, and what several of them have in common. */

/**
 * How a runtime gets at a server: `token` asks the broker for a token whenever one is needed, `gateway` sends the
 * agent's key to the broker's gateway, `exec` takes the token that `broker exec` put into the environment.
 */
export type Way = 'token' | 'gateway' | 'exec';

export interface Runtime {
  /** As typed: lower case, dashes. */
  name: string;
  /** As its makers spell it. */
  title: string;
  /** Extension of its templates, which tells the language too. */
  format: 'json' | 'toml' | 'ts' | 'mjs' | 'py' | 'sh' | 'txt';
  /** Where the snippet belongs. */
  place: string;
  /** What it can do. The first is the default. */
  ways: readonly [Way, ...Way[]];
  /** What `broker exec` starts. Undefined: a program of one's own. */
  program?: string;
  /** Traps. Single sentences without a full stop. */
  notes: readonly string[];
  /** Traps of one way. */
  wayNotes?: Partial<Record<Way, readonly string[]>>;
  /** Where it is known from: URLs, or `owner/repository#number`. */
  sources: readonly string[];
}

/** Traps that several have. */
export const FIXED = 'the token is fetched once and stays for the whole run';
export const PER_REQUEST = 'asks the broker before every request, and once more after a 401';
export const LIBRARY = [
  'needs the client library in the project: npm install mcp-token-broker',
  'keeps the token while it lives, and asks for a newer one after a 401',
] as const;

/** Code of one's own, which can do it in every way. */
export const TYPESCRIPT = {
  format: 'ts',
  place: 'your program (TypeScript)',
  ways: ['token', 'gateway', 'exec'],
} as const;
export const PYTHON = {
  format: 'py',
  place: 'your program (Python)',
  ways: ['token', 'gateway', 'exec'],
} as const;
