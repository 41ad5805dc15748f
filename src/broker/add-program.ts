/**
 * MCP servers that are programs on this machine. They have no credential of their own: the secrets of other connections
 * are put into their environment when they are started.
 */
import { hasBearer } from '../core/credential-kind.ts';
import { enteredTokens } from '../core/entered.ts';
import { parseConnectionName } from '../core/names.ts';
import { type Program, plainSecrets, requireStartable, secretNames } from '../core/program.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { BrokerError, quote } from '../errors.ts';
import { findConnection } from '../vault/connections.ts';
import { findServer } from '../vault/servers.ts';
import { findFor } from './access.ts';
import { type AddedView, saveEntered } from './add-static.ts';
import { view } from './connections.ts';
import { type Context, OPERATOR } from './context.ts';
import { leaseOf, withLease } from './lease.ts';

export interface NewProgram {
  name: string;
  /** Its command was found, and may be run. */
  program: Program;
}

/**
 * Adds the program, or puts another in place of one. Processes that run meanwhile go on until their sessions end.
 *
 * Throws `usage` for names that cannot be or are taken by a server at a URL, and for an environment that wants a secret
 * nobody has.
 */
export async function addProgram(context: Context, { name, program }: NewProgram): Promise<AddedView> {
  const { vault, clock } = context;
  await requireFree(context, name);
  requireStartable(program);
  for (const secret of secretNames(program.env)) await requireSecret(context, secret);
  const tokens = enteredTokens({ kind: 'none' }, clock.now(), undefined);
  const settings = { ...DEFAULT_SETTINGS, transport: 'stdio', program } as const;
  const place = { connection: name, server: name, url: null, settings };
  await withLease(context, leaseOf(name), () => saveEntered(context, place, 'none', tokens, undefined));
  const stored = await vault.run(() => findConnection(name));
  if (!stored) throw new Error('the connection is not there after it was saved');
  const notes = plainSecrets(program.env).map(
    (variable) =>
      `the value of ${variable} is kept and shown as it is; a secret belongs into a connection: --env ${variable}={{name}}`,
  );
  return { ...(await view(context, stored)), ...(notes.length === 0 ? {} : { notes }) };
}

async function requireFree({ vault }: Context, name: string): Promise<void> {
  const parsed = parseConnectionName(name);
  if (!parsed || parsed.account !== undefined) {
    throw new BrokerError('usage', `${quote(name)} cannot be the name of a program`, {
      hint: 'a name is lower-case letters, digits, dot, dash or underscore; a program has no accounts, so without @',
    });
  }
  const taken = await vault.run(() => findServer(name));
  if (taken && taken.settings.program === null) {
    throw new BrokerError('usage', `the name ${name} is taken by ${taken.url ?? 'another server'}`, {
      hint: 'choose another one: broker add <name> --command …',
    });
  }
}

/** Throws `usage` unless this connection has one secret, which is a token. */
async function requireSecret(context: Context, name: string): Promise<void> {
  const stored = await findFor(context, OPERATOR, name).catch((error: unknown) => {
    if (!(error instanceof BrokerError) || error.code !== 'not_found') throw error;
    throw new BrokerError('usage', `there is no connection ${name} whose secret {{${name}}} could be`, {
      hint: `make it first: broker add ${name} --url <url> --bearer-file <file>, or broker login <url> --name ${name}`,
      connection: name,
    });
  });
  if (hasBearer(stored.kind)) return;
  throw new BrokerError('usage', `${name} has no single secret (its kind is ${stored.kind})`, {
    hint: `{{${name}}} is the token of a connection: one made by broker login, or with --bearer-file`,
    connection: name,
  });
}
