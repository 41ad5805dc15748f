/**
 * MCP servers that are programs on this machine: how one is started, and where the secrets in its environment come from.
 * What is kept names secrets and never holds them.
 */
import { BrokerError, quote } from '../errors.ts';
import { parseConnectionName } from './names.ts';

/** `session`: each session of an agent has a process of its own. `shared`: all have one. */
export const PROCESS_MODES = ['session', 'shared'] as const;
export type ProcessMode = (typeof PROCESS_MODES)[number];

export interface Program {
  /** Absolute path of what is started, without a shell. */
  command: string;
  args: readonly string[];
  /** Absolute path of the directory it works in. */
  cwd: string;
  /** Its whole environment; `{{NAME}}` in a value is the secret of the connection NAME. */
  env: Readonly<Record<string, string>>;
  processes: ProcessMode;
  /** A process nobody has used for so long is ended. */
  idleEndMs: number;
}

export const DEFAULT_IDLE_END_MS = 30 * 60_000;

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const PLACE = /\{\{([^{}]*)\}\}/g;

/** Connections whose secrets an environment wants, each once. */
export function secretNames(env: Readonly<Record<string, string>>): string[] {
  return [...new Set(Object.values(env).flatMap(namesIn))];
}

/** The value with the secrets in their places. Throws `TypeError` for a secret that was not given. */
export function fillValue(value: string, secrets: ReadonlyMap<string, string>): string {
  return value.replace(PLACE, (_place, name: string) => {
    const secret = secrets.get(name);
    if (secret === undefined) throw new TypeError('a secret of the environment is missing');
    return secret;
  });
}

/**
 * Throws `usage` for what no process could be started with: names that are no variables, values with a NUL, and places
 * that name no connection.
 */
export function requireStartable({ args, env }: Pick<Program, 'args' | 'env'>): void {
  for (const [name, value] of Object.entries(env)) {
    if (!VARIABLE.test(name))
      throw refused(
        `${quote(name)} is no name of a variable`,
        'letters, digits and underscores: --env NAME=value',
      );
    for (const place of namesIn(value)) requirePlace(name, place);
    if (value.replaceAll(PLACE, '').includes('{{'))
      throw refused(
        `the value of ${name} has a {{ that names no connection`,
        'write --env NAME={{connection}}',
      );
  }
  if (args.some((arg) => namesIn(arg).length > 0)) {
    throw refused(
      'an argument wants a secret, which every user of this machine could see',
      'secrets go into the environment: --env NAME={{connection}}',
    );
  }
  if ([...args, ...Object.values(env)].some((text) => text.includes('\0')))
    throw refused('an argument or variable holds a NUL character', 'no program can be given one');
}

/** Names of variables with a value that looks meant to be secret, yet is written out. */
export function plainSecrets(env: Readonly<Record<string, string>>): string[] {
  const isTelling = (name: string) => /TOKEN|SECRET|PASSW|API_?KEY|CREDENTIAL/i.test(name);
  return Object.entries(env).flatMap(([name, value]) =>
    isTelling(name) && value !== '' && namesIn(value).length === 0 ? [name] : [],
  );
}

function namesIn(value: string): string[] {
  return [...value.matchAll(PLACE)].map(([, name = '']) => name);
}

function requirePlace(variable: string, name: string): void {
  if (parseConnectionName(name)) return;
  throw refused(
    `${variable} wants the secret of ${quote(name)}, which is no name of a connection`,
    'broker list shows what is connected',
  );
}

function refused(message: string, hint: string): BrokerError {
  return new BrokerError('usage', message, { hint });
}
