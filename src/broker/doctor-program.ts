/** Examines a program behind the gateway, as far as one can without starting it. */
import { accessSync, constants, statSync } from 'node:fs';
import { findingFor } from '../core/check-policy.ts';
import { failed, fine, type Outcome, type Step, skipped, together, warning } from '../core/diagnosis.ts';
import { type Program, secretNames } from '../core/program.ts';
import { findConnection } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import { DEFAULT_WARN_WITHIN_MS } from './check.ts';
import type { Doctor } from './doctor-server.ts';
import type { Patient } from './doctor-target.ts';

/** The steps of a connection to a program. Nobody signs in to one, so most are skipped. */
export async function examineProgram(
  doctor: Doctor & { vault: Vault },
  { stored, server }: Patient,
): Promise<Step[]> {
  const none = skipped('it is a program on this machine');
  const { program } = server.settings;
  if (!program) throw new Error('a server without URL and without program');
  const secrets = await Promise.all(secretNames(program.env).map((name) => examineSecret(doctor, name)));
  const token = secrets.length === 0 ? fine('it is given no secret') : secrets.reduce(together);
  return [
    { step: 'clock', ...none },
    { step: 'discovery', ...none },
    { step: 'registration', ...none },
    { step: 'redirect', ...none },
    { step: 'token', ...token },
    { step: 'initialize', ...examineCommand(stored.name, program) },
  ];
}

/** A connection whose secret it is given, as `broker check` judges it. */
async function examineSecret({ vault, clock }: Doctor & { vault: Vault }, name: string): Promise<Outcome> {
  const stored = await vault.run(() => findConnection(name));
  if (!stored) {
    return failed(
      `it needs the secret of ${name}, which is not there any more`,
      `broker add ${name} --bearer-file <file> --url <url>`,
      'config_error',
    );
  }
  const { code, message, nextStep } = findingFor(stored, null, clock.now(), DEFAULT_WARN_WITHIN_MS);
  if (code === 0) return fine(`it is given the secret of ${name}`);
  const told = `the secret of ${name} it is given: ${message}`;
  return code === 2
    ? failed(told, nextStep ?? undefined, 'login_required')
    : warning(told, nextStep ?? undefined);
}

function examineCommand(name: string, { command, cwd }: Program): Outcome {
  const again = `add it again: broker add ${name} --command <command>`;
  try {
    accessSync(command, constants.X_OK);
  } catch {
    return failed(`${command} is not there, or may not be run`, again, 'config_error');
  }
  const isDirectory = statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isDirectory) return failed(`the directory ${cwd} is not there`, again, 'config_error');
  return fine(`${command} can be run; a doctor does not start it`);
}
