/**
 * Real processes on one vault, with what a test does to them from outside: kill them or put them to sleep at a step,
 * reach into the file.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { createLog } from '../../src/log.ts';
import type { Step } from '../../src/steps.ts';
import type { BrokerProcess } from './broker-process.ts';
import { type CallAnswer, type CallOptions, type StartedCall, startCall } from './http-call.ts';
import { type Journey, startJourney } from './journey.ts';
import { changeVault, endLeases, type HeldLease, heldLeases } from './leases.ts';
import { signIn } from './sign-in.ts';

/** A child that writes down its steps. */
export interface TracedProcess {
  process: BrokerProcess;
  /** The steps it has reached so far. */
  steps(): Step[];
}

/** Where a child is to be killed, or put to sleep. */
export interface StopAt {
  step: Step;
  /** Which time it comes there. Default 1. */
  occurrence?: number;
  /** Default SIGKILL. What SIGSTOP puts to sleep, SIGCONT wakes. */
  signal?: 'SIGKILL' | 'SIGSTOP';
}

export interface RunningDaemon extends TracedProcess {
  /** An agent asks for the token of `demo`, or for `path`. Rejects when the daemon dies meanwhile. */
  ask(path?: string): Promise<CallAnswer>;
  /** The same request, not waited for. */
  startAsking(path?: string, options?: CallOptions): StartedCall;
}

export interface ProcessWorld extends Journey {
  /** Starts a command that is stopped at `stopAt`; without it, only its steps are written down. */
  trace(args: string[], stopAt?: StopAt): TracedProcess;
  /** Starts a daemon on a port of its own. */
  startDaemon(stopAt?: StopAt): Promise<RunningDaemon>;
  /** Of connections. */
  heldLeases(): HeldLease[];
  /** Makes the leases of connections as old as if nobody had held them for long, so that a test need not wait for their end. */
  endLeases(): void;
  /** Takes the lease of `demo` for `ms` in the name of `owner`. */
  holdLease(owner: string, ms: number): void;
  /** Makes the access token of `demo` older, so that it ends in `endsInMs`. Default: it ended a second ago. */
  expireAccessToken(endsInMs?: number): void;
  /** Makes the access token of `demo` a minute older, as old as one that may be rejected; it still lives long. */
  ageAccessToken(): void;
}

const TOKEN_PATH = '/v1/connections/demo/token';

const PRELOAD = new URL('stop-at-step.ts', import.meta.url).href;

export interface ProcessWorldOptions {
  /** Default true: `demo` is connected as alice, and the agent `bot` may use it. */
  isSignedIn?: boolean;
  /** Chosen at that login. */
  recovery?: RecoveryPolicy;
}

/** Starts the servers, and makes the vault when it is to be signed in. */
export async function startProcessWorld({
  isSignedIn = true,
  recovery,
}: ProcessWorldOptions = {}): Promise<ProcessWorld> {
  const journey = await startJourney();
  const agentKey = isSignedIn ? await prepare(journey, recovery) : '';
  let traces = 0;

  function trace(args: string[], stopAt?: StopAt): TracedProcess {
    traces += 1;
    const file = join(journey.home.path, `steps-${traces}`);
    const process = journey.start(args, {
      NODE_OPTIONS: `--import ${PRELOAD}`,
      STEPS_FILE: file,
      ...(stopAt && {
        STOP_AT_STEP: stopAt.step,
        STOP_AT_OCCURRENCE: String(stopAt.occurrence ?? 1),
        STOP_SIGNAL: stopAt.signal ?? 'SIGKILL',
      }),
    });
    const steps = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []);
    return { process, steps: () => steps() as Step[] };
  }

  const execute = (sql: string, ...parameters: (string | number)[]) =>
    changeVault(journey.vaultPath, sql, ...parameters);

  return {
    ...journey,
    trace,
    async startDaemon(stopAt) {
      const traced = trace(['serve', '--listen', '127.0.0.1:0'], stopAt);
      const [, url = ''] = await traced.process.waitFor(/listening on (http:\S+)/, 'stderr');
      const headers = { authorization: `Bearer ${agentKey}` };
      const startAsking = (path = TOKEN_PATH, options: CallOptions = {}) =>
        startCall(`${url}${path}`, { ...options, headers });
      return { ...traced, startAsking, ask: (path) => startAsking(path).answered };
    },
    heldLeases: () => heldLeases(journey.vaultPath),
    endLeases: () => endLeases(journey.vaultPath),
    holdLease: (owner, ms) =>
      execute(
        "UPDATE leases SET owner = ?, fence = fence + 1, expires_at = ? WHERE name = 'connection:demo'",
        owner,
        Date.now() + ms,
      ),
    expireAccessToken(endsInMs = -1_000) {
      execute(
        'UPDATE connections SET received_at = received_at - 3600000, access_expires_at = ?',
        Date.now() + endsInMs,
      );
    },
    ageAccessToken: () => execute('UPDATE connections SET received_at = received_at - 60000'),
    close() {
      // Who sleeps does not hear that it is to end.
      for (const { process } of journey.processes) process.process.kill('SIGCONT');
      return journey.close();
    },
  };
}

/** Signs in and makes the agent, in this process: these are not what is tested. The key of the agent. */
async function prepare(
  { home, authorizationServer, mcp }: Journey,
  recovery: RecoveryPolicy | undefined,
): Promise<string> {
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const broker = await openBroker({ settings, log: createLog('silent'), create: true });
  try {
    await signIn(broker, authorizationServer, mcp.url, { recovery });
    const agent = { name: 'bot', allow: ['demo'], modes: ['token' as const], admin: false, expiresAt: null };
    return (await broker.agents.add(agent)).key.reveal();
  } finally {
    await broker.close();
  }
}
