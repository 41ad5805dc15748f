/**
 * The doctor: goes through all that must be right for a connection to work, and says of each step how it is and what
 * mends it. A step that fails does not stop those after it.
 *
 * It only looks, so it may be run at any time, beside a daemon too.
 */
import { existsSync } from 'node:fs';
import { type Clock, systemClock } from '../clock.ts';
import type { Settings } from '../config.ts';
import {
  clockAgainstServers,
  type Diagnosis,
  fine,
  type Outcome,
  STEPS,
  type Step,
  skipped,
  together,
  warning,
} from '../core/diagnosis.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import type { Fetch } from '../oauth/http.ts';
import { type ConnectionDoctor, examineConnection } from './doctor-connection.ts';
import { type Doctor, examineServer, type ServerFindings, watchClocks } from './doctor-server.ts';
import { type DoctorTarget, findPatients, type Patient, readDoctorTarget } from './doctor-target.ts';
import type { AskTools } from './doctor-tools.ts';
import { examineVault, type VaultFindings } from './doctor-vault.ts';
import { networks } from './index.ts';

export interface DoctorOptions {
  settings: Settings;
  /** How a server is asked for its tools. Undefined: what rules name is not looked for. */
  askTools?: AskTools | undefined;
  /** Seams, for tests. */
  clock?: Clock;
  fetch?: Fetch;
}

/**
 * Examines what `words` mean: a connection, the URL of a server or a preset, connected or not. Without them: the vault,
 * and then every connection.
 *
 * The result has one diagnosis for each, the vault's first where it is not told with the only connection. Throws `usage`
 * and `not_found`; what else can be wrong is a finding.
 */
export async function diagnose(
  { settings, clock = systemClock, fetch, askTools }: DoctorOptions,
  words?: string,
): Promise<Diagnosis[]> {
  const target = words === undefined ? undefined : readDoctorTarget(words);
  const fetchFor = fetch ? () => fetch : networks(settings);
  const wantsVault = target?.url === undefined || existsSync(settings.database);
  const findings = wantsVault ? await examineVault(settings, clock) : undefined;
  const doctor = { clock, fetchFor, vault: findings?.vault };
  try {
    const patients = findings?.vault ? await findPatients(findings.vault, target) : [];
    if (findings && (patients.length > 0 || !target))
      return await withVault({ ...doctor, askTools }, findings, patients, target);
    if (target?.url !== undefined) return [await unconnected(doctor, target, target.url, findings)];
    if (findings?.vault) throw unknown(target as DoctorTarget);
    return [{ target: words as string, steps: unreachable(findings as VaultFindings) }];
  } finally {
    await findings?.vault?.close();
  }
}

async function withVault(
  { vault, ...doctor }: Doctor & Pick<ConnectionDoctor, 'askTools'>,
  { key, files, clock }: VaultFindings,
  patients: Patient[],
  target: DoctorTarget | undefined,
): Promise<Diagnosis[]> {
  const ours: Step[] = [
    { step: 'key', ...key },
    { step: 'files', ...files },
  ];
  const clients = new Map();
  const found = vault
    ? await Promise.all(
        patients.map(async (patient) => ({
          target: patient.stored.name,
          steps: await examineConnection({ ...doctor, vault, clients }, patient),
        })),
      )
    : [];
  const [only] = found;
  if (!target || !only || found.length > 1) {
    return [{ target: 'vault', steps: [...ours, { step: 'clock', ...clock }] }, ...found];
  }
  const steps = only.steps.map((each) =>
    each.step === 'clock' ? { ...each, ...together(each, clock) } : each,
  );
  return [{ target: only.target, steps: [...ours, ...steps] }];
}

/** A server nobody has signed in to: as far as one can look from outside. */
async function unconnected(
  doctor: Doctor,
  { words, preset }: DoctorTarget,
  url: string,
  findings: VaultFindings | undefined,
): Promise<Diagnosis> {
  const watch = watchClocks(doctor);
  const settings = { ...DEFAULT_SETTINGS, ...preset?.settings };
  const found = await examineServer({ ...doctor, fetchFor: watch.fetchFor }, url, settings, undefined);
  const steps: Step[] = [
    { step: 'clock', ...clockAgainstServers(watch.skews) },
    { step: 'discovery', ...found.outcome },
    { step: 'registration', ...registrationAhead(found, preset?.needsClient) },
  ];
  if (!findings || findings.vault) return { target: words, steps };
  const { key, files } = findings;
  return { target: words, steps: [{ step: 'key', ...key }, { step: 'files', ...files }, ...steps] };
}

const BRING_A_CLIENT =
  'ask its operator for an OAuth client, then give it with --client-id (and --client-secret-file, if it has a secret)';

/** How a first login would get its client. */
function registrationAhead({ way }: ServerFindings, needsClient: string | undefined): Outcome {
  switch (way) {
    case undefined:
      return skipped('the server could not be discovered');
    case 'configured':
      return fine('configured: a login uses the client that was given before');
    case 'dynamic':
      return fine('dynamic: a login registers a client by itself');
    case 'document':
      return warning(
        'document: the server takes clients by a metadata document only',
        'host one and give its URL with --client-metadata-url, or give a client with --client-id',
      );
    case 'none':
      return warning('none: a login needs a client of your own', needsClient ?? BRING_A_CLIENT);
  }
}

/** Of a name nobody can look up. */
function unreachable({ key, files }: VaultFindings): Step[] {
  const outcomes: Partial<Record<(typeof STEPS)[number], Outcome>> = { key, files };
  const others = skipped('the vault could not be opened');
  return STEPS.map((step) => ({ step, ...(outcomes[step] ?? others) }));
}

function unknown({ words }: DoctorTarget): BrokerError {
  return new BrokerError('not_found', `there is no connection, server or preset ${words}`, {
    hint: 'broker list shows what is connected; a server that is not connected is examined by its URL',
  });
}
