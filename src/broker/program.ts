/** What a program behind the gateway is started with: its command, and the secrets of its environment as of now. */
import { parseConnectionName } from '../core/names.ts';
import { fillValue, type Program, secretNames } from '../core/program.ts';
import { BrokerError } from '../errors.ts';
import { fingerprint, Secret } from '../secret.ts';
import type { StoredConnection } from '../vault/connections.ts';
import { findFor } from './access.ts';
import { actorOf, type Caller, type Context, OPERATOR } from './context.ts';
import { type ObtainedToken, obtainToken, serverOf } from './tokens.ts';

/** Everything one process is started with. */
export interface ProgramStart extends Omit<Program, 'env'> {
  connection: string;
  /** Its whole environment, secrets in place. */
  env: Readonly<Record<string, Secret>>;
  /** What must not be seen of what it writes. */
  secrets: readonly Secret[];
  /** The same as long as command and secrets are. */
  version: string;
}

/**
 * Gets the secrets of a program, fresh ones where they end. Who may use the program need not be allowed the connections
 * they come from: the operator put them there.
 *
 * Throws `not_found` when it is no program, `config_error` when a connection it needs is gone, and what `getToken` throws
 * for one that has no token.
 */
export async function openProgram(context: Context, caller: Caller, name: string): Promise<ProgramStart> {
  const server = await serverOf(context, parseConnectionName(name)?.server ?? '');
  const program = server?.settings.program;
  if (!program) throw new BrokerError('not_found', `there is no program ${name}`, { connection: name });
  const secrets = new Map<string, Secret>();
  for (const each of secretNames(program.env))
    secrets.set(each, await obtainSecret(context, caller, name, each));
  const { env, ...rest } = program;
  const revealed = new Map([...secrets].map(([each, secret]) => [each, secret.reveal()]));
  const filled = Object.entries(env).map(([each, value]) => [each, fillValue(value, revealed)] as const);
  return {
    ...rest,
    connection: name,
    env: Object.fromEntries(filled.map(([each, value]) => [each, new Secret(value)])),
    secrets: [...secrets.values()],
    version: fingerprint(JSON.stringify([rest, filled])),
  };
}

async function obtainSecret(
  context: Context,
  caller: Caller,
  program: string,
  name: string,
): Promise<Secret> {
  const stored = await findSecretOf(context, program, name);
  const { granted, holder } = await obtainToken(context, caller, stored);
  noteStart(context, caller, program, name, { granted, holder });
  return granted.accessToken;
}

/** The connection whose secret a program wants. Throws `config_error` when it is gone. */
async function findSecretOf(
  context: Pick<Context, 'vault' | 'memory'>,
  program: string,
  name: string,
): Promise<StoredConnection> {
  return findFor(context, OPERATOR, name).catch((error: unknown) => {
    if (!(error instanceof BrokerError) || error.code !== 'not_found') throw error;
    throw new BrokerError(
      'config_error',
      `${program} needs the secret of ${name}, which is not there any more`,
      {
        hint: `an operator can add it again: broker add ${name} …, or broker login <url> --name ${name}`,
        connection: program,
      },
    );
  });
}

/** Writes down which secret went into the environment of a program, and for whom it was started. */
function noteStart(
  { handOuts }: Context,
  caller: Caller,
  program: string,
  secretOf: string,
  { granted, holder }: ObtainedToken,
): void {
  const { generation, accessToken } = granted;
  handOuts.add({
    connectionId: holder.id,
    agentName: caller.kind === 'agent' ? caller.agent.name : undefined,
    record: {
      actor: actorOf(caller),
      action: 'start',
      connection: program,
      outcome: 'ok',
      detail: { secret_of: secretOf, generation, token: accessToken.fingerprint() },
    },
  });
}
