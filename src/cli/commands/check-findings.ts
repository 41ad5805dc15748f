/** Looks at connections for `broker check`: through the daemon where there is an agent key, else in the vault. */
import type { CheckView } from '../../broker/check.ts';
import type { ConnectionView } from '../../broker/connections.ts';
import { OPERATOR } from '../../broker/context.ts';
import type { Broker } from '../../broker/index.ts';
import type { NotifySettings } from '../../broker/notify-ways.ts';
import { systemClock } from '../../clock.ts';
import type { CheckCode } from '../../core/check-policy.ts';
import { sideBySide } from '../../core/side-by-side.ts';
import { BrokerError } from '../../errors.ts';
import { createLog, type Log } from '../../log.ts';
import { callDaemon } from '../daemon-client.ts';
import { exitCodeFor } from '../exit-codes.ts';
import { asOperator, type Session } from '../session.ts';
import { tellPeople } from './notify-options.ts';

/** What to do besides looking. */
export interface LookOptions {
  refresh?: boolean | undefined;
  probe?: boolean | undefined;
  warnWithinMs?: number | undefined;
}

/** Servers called at once. */
const MOST_PROBES = 4;

/** The findings in the order of the names; of all connections without any. Throws when nobody could look at all. */
export async function findAll(
  session: Session,
  names: string[],
  { notify, ...options }: LookOptions & { notify?: NotifySettings | undefined },
): Promise<CheckView[]> {
  const { agentKey, daemonUrl, caFile } = session.settings;
  if (agentKey) return findThroughDaemon({ agentKey, daemonUrl, caFile }, names, options);
  return asOperator(session, { create: false }, async (broker) => {
    const wanted = names.length > 0 ? names : (await broker.list(OPERATOR)).map(({ name }) => name);
    const findings = await findHere(broker, session.log, wanted, options);
    if (notify) await tellPeople(broker, notify);
    return findings;
  });
}

/** The same with a broker that is open. Programs that are started for it are gone when it is done. */
export async function findHere(
  broker: Pick<Broker, 'check'>,
  log: Log,
  names: string[],
  { probe = false, ...options }: LookOptions,
): Promise<CheckView[]> {
  if (!probe) return look(names, 1, (name) => broker.check(OPERATOR, name, options));
  const { createProgramProbe } = await import('../../mcp/program-probe.ts');
  // Programs write to stderr that they are fine; who checks wants to know only when they are not.
  const heard = log.isLevelEnabled('info') ? log : createLog('silent');
  const programs = createProgramProbe({ clock: systemClock, log: heard });
  try {
    const asked = { ...options, probe: programs.ask };
    return await look(names, MOST_PROBES, (name) => broker.check(OPERATOR, name, asked));
  } finally {
    await programs.close();
  }
}

async function findThroughDaemon(
  daemon: Parameters<typeof callDaemon>[0],
  names: string[],
  { refresh, probe, warnWithinMs }: LookOptions,
): Promise<CheckView[]> {
  const all = async () =>
    (await callDaemon<{ connections: ConnectionView[] }>(daemon, 'GET', '/v1/connections')).connections;
  const body = {
    ...(refresh === undefined ? {} : { refresh }),
    ...(probe === undefined ? {} : { probe }),
    ...(warnWithinMs === undefined ? {} : { warn_within: Math.round(warnWithinMs / 1000) }),
  };
  const wanted = names.length > 0 ? names : (await all()).map(({ name }) => name);
  return look(wanted, probe ? MOST_PROBES : 1, (name) =>
    callDaemon<CheckView>(daemon, 'POST', `/v1/connections/${encodeURIComponent(name)}/check`, body),
  );
}

/** Every connection is looked at, also when one of them cannot be. */
async function look(
  names: string[],
  most: number,
  check: (name: string) => Promise<CheckView>,
): Promise<CheckView[]> {
  const bounds = { most, keyOf: (name: string) => name.split('@')[0] ?? name };
  const failures: BrokerError[] = [];
  const findings = await sideBySide(names, bounds, (name) =>
    check(name).catch((error: unknown) => {
      const finding = failed(name, error);
      failures.push(error as BrokerError);
      return finding;
    }),
  );
  const [first] = failures;
  // Nothing was learned of any of them: that is no finding.
  if (first && failures.length === names.length && exitCodeFor(first) === 3) throw first;
  return findings;
}

/** Throws what is no finding: a refused agent key, a fault of the program. */
function failed(name: string, error: unknown): CheckView {
  const code = exitCodeFor(error);
  if (!(error instanceof BrokerError) || ![2, 3, 75].includes(code)) throw error;
  return {
    connection: name,
    state: error.code === 'not_found' ? 'not_found' : 'unknown',
    exit_code: code as CheckCode,
    message: error.message,
    ...(error.hint === undefined ? {} : { next_step: error.hint }),
    code: error.code,
  };
}
