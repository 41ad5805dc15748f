/**
 * One daemon in a world whose week passes in seconds: two vendors, two agents, cron, and somebody who is told. What
 * happens by itself happens as time passes; what an operator does is in the test.
 */
import { join } from 'node:path';
import { OPERATOR } from '../../src/broker/context.ts';
import { openBroker } from '../../src/broker/index.ts';
import type { NotifySettings } from '../../src/broker/notify-ways.ts';
import { createPrometheus } from '../../src/broker/prometheus.ts';
import { findHere } from '../../src/cli/commands/check-findings.ts';
import { readSettings, type Settings } from '../../src/config.ts';
import { worstOf } from '../../src/core/check-policy.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { Secret } from '../../src/secret.ts';
import { newAgent } from './agents.ts';
import { type BrokerResult, runBroker } from './broker-process.ts';
import { DAEMON_DEFAULTS } from './daemon-defaults.ts';
import { freePort } from './free-port.ts';
import { createHome, type Home } from './home.ts';
import { type CallAnswer, call } from './http-call.ts';
import { heldLeases } from './leases.ts';
import { type LogLines, readableLog } from './log-lines.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { type NoticeReceiver, startNoticeReceiver } from './notice-receiver.ts';
import { FAKE_WEBHOOK_SECRET } from './notice-world.ts';
import { type ConnectionRow, connectionRow } from './vault-file.ts';
import { type Agents, startAgents } from './week-agents.ts';
import { createOperator, type Operator } from './week-operator.ts';
import { startVendor, type Vendor } from './week-vendors.ts';

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const;
export type Day = (typeof DAYS)[number];

/** Such as `Tuesday 09:15`, UTC. */
export type Moment = `${Day} ${string}`;

const MONDAY = Date.UTC(2026, 0, 5);

/** Of each step of time, so much is lived through, and the rest slept: as on a machine that is suspended. */
const AWAKE_MS = 30 * SECOND_MS;
/** Steps by day: one at least between the instant at which a token is to be renewed and its end. */
const DAY_STEP_MS = 7.5 * MINUTE_MS;
const NIGHT_STEP_MS = 30 * MINUTE_MS;

/** A daemon at rest waits for: its scheduler, its notices, its heartbeat, the retention of its audit trail. */
const WAITS_AT_REST = 4;

export interface Week {
  home: Home;
  settings: Settings;
  vaultPath: string;
  clock: ManualClock;
  /** Of the daemon, at its most talkative. */
  log: LogLines;
  coda: Vendor;
  notion: Vendor;
  /** Where notices go. */
  receiver: NoticeReceiver;
  agents: Agents;
  /** Secrets of the operator: keys of agents, what notices are signed with. */
  secrets: Map<string, string>;
  /** What the check of each hour exited with. */
  checks(): number[];
  /** Epoch ms of a moment of the week. */
  at(moment: Moment): number;
  /** Lets time pass until then. */
  until(moment: Moment, stepMs?: number): Promise<void>;
  /** `broker check`, as cron runs it. */
  check(): Promise<BrokerResult>;
  operator: Operator;
  files: { masterKey: string; newMasterKey: string; oldMasterKey: string; backup: string };
  /** What is in the vault of this connection. */
  row(name: string): ConnectionRow;
  startDaemon(): Promise<void>;
  stopDaemon(): Promise<void>;
  /** Asks the daemon as the agent `prometheus`. */
  get(path: string): Promise<CallAnswer>;
  close(): Promise<void>;
}

/** Monday, half past seven: both logins are made, the daemon runs, and the agents have begun. */
export async function startWeek(): Promise<Week> {
  const home = await createHome();
  const clock = createManualClock(MONDAY + 7.5 * HOUR_MS);
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const vaultPath = join(home.env.BROKER_HOME as string, 'broker.db');
  const coda = await startVendor('coda', 'alice', clock);
  const notion = await startVendor('notion', 'bob', clock);
  const receiver = await startNoticeReceiver();
  const log = readableLog('debug');
  const url = `http://127.0.0.1:${await freePort()}`;
  const checks: number[] = [];
  const notify: NotifySettings = {
    command: undefined,
    webhook: { url: new Secret(receiver.url), secret: new Secret(FAKE_WEBHOOK_SECRET) },
    afterMs: 15 * MINUTE_MS,
  };
  const operator = createOperator(settings, clock);
  let daemon: Daemon | undefined;
  let agents: Agents | undefined;

  async function startDaemonHere(): Promise<void> {
    const prometheus = createPrometheus({ version: '0.0.0-test', ofProcess: false });
    const broker = await openBroker({
      ...{ settings, clock, log: log.log, create: true, isResident: true },
      ...{ metrics: prometheus.metrics, auditKeepMs: 400 * DAY_MS },
    });
    const addresses = [{ kind: 'tcp' as const, host: '127.0.0.1', port: Number(new URL(url).port) }];
    daemon = await startDaemon(
      broker,
      { ...DAEMON_DEFAULTS, addresses },
      { clock, log: log.log, prometheus },
    );
    broker.notices.start(notify);
    await settle();
  }

  /** Until all that was set off is over: nobody works on a connection, and the daemon waits for time to pass. */
  async function settle(): Promise<void> {
    const waits = daemon ? WAITS_AT_REST : 0;
    do {
      for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    } while (clock.waiting() < waits || heldLeases(vaultPath).length > 0);
  }

  async function pass(ms: number, stepMs?: number): Promise<void> {
    const end = clock.now() + ms;
    while (clock.now() < end) {
      const now = clock.now();
      const hour = new Date(now).getUTCHours();
      const length = stepMs ?? (hour >= 7 && hour < 21 ? DAY_STEP_MS : NIGHT_STEP_MS);
      const next = Math.min(end, (Math.floor(now / length) + 1) * length);
      for (const vendor of [coda, notion]) vendor.noteTokens();
      const awakeMs = Math.min(AWAKE_MS, next - now);
      clock.jump(next - now - awakeMs);
      await clock.advance(awakeMs);
      await settle();
      if (next % HOUR_MS === 0) await onTheHour(new Date(next).getUTCHours());
    }
  }

  /** Cron of an operator who has set up the same notices; and the agents work from eight to six. */
  async function onTheHour(hour: number): Promise<void> {
    const findings = await operator.run(async (broker) => {
      const names = (await broker.list(OPERATOR)).map(({ name }) => name);
      const found = await findHere(broker, createLog('silent'), names, {});
      expectDelivered(await broker.notices.tellNow(notify));
      return found;
    });
    checks.push(worstOf(findings.map(({ exit_code }) => exit_code)));
    if (hour >= 8 && hour <= 18) await agents?.ask();
    await settle();
  }

  await operator.login(coda);
  await operator.login(notion);
  const keyOf = (name: string, agent: Parameters<typeof newAgent>[0]) =>
    operator.run(async (broker) => (await broker.agents.add(newAgent({ name, ...agent }))).key.reveal());
  const both = ['coda', 'notion'];
  const keys = {
    docsBot: await keyOf('docs-bot', { allow: both, modes: ['token'] }),
    helper: await keyOf('helper', { allow: both, modes: ['gateway'] }),
    cron: await keyOf('cron', { allow: both }),
    intern: await keyOf('intern', { allow: ['coda'] }),
    prometheus: await keyOf('prometheus', { allow: ['nothing'], admin: true }),
  };
  await startDaemonHere();
  agents = await startAgents({ url, keys, vendors: [coda, notion], now: () => clock.now() });
  const at = (moment: Moment) => {
    const [day, time = ''] = moment.split(' ');
    const [hours = 0, minutes = 0] = time.split(':').map(Number);
    return MONDAY + DAYS.indexOf(day as Day) * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS;
  };
  return {
    ...{ home, settings, vaultPath, clock, log, coda, notion, receiver, agents, operator, at },
    files: {
      masterKey: settings.masterKey.defaultFile,
      newMasterKey: `${settings.masterKey.defaultFile}.new`,
      oldMasterKey: `${settings.masterKey.defaultFile}.old`,
      backup: join(home.path, 'wednesday.backup'),
    },
    secrets: new Map([
      ...Object.entries(keys).map(([name, key]): [string, string] => [key, `key of ${name}`]),
      [FAKE_WEBHOOK_SECRET, 'secret of the webhook'],
    ]),
    checks: () => checks,
    until: (moment, stepMs) => pass(at(moment) - clock.now(), stepMs),
    check: () => runBroker(['check'], { env: { ...home.env, BROKER_URL: url, BROKER_AGENT_KEY: keys.cron } }),
    row: (name) => connectionRow(vaultPath, name),
    startDaemon: startDaemonHere,
    async stopDaemon() {
      await daemon?.close();
      daemon = undefined;
    },
    get: (path) => call(`${url}${path}`, { headers: { authorization: `Bearer ${keys.prometheus}` } }),
    async close() {
      await daemon?.close();
      await coda.close();
      await notion.close();
      await receiver.close();
      await home.remove();
    },
  };
}

function expectDelivered(failed: unknown[]): void {
  if (failed.length > 0) throw new Error(`a check could not tell: ${JSON.stringify(failed)}`);
}
