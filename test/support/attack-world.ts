/** A daemon before two lax servers, and agents that want more than they may. */
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { Secret } from '../../src/secret.ts';
import { DAEMON_DEFAULTS } from './daemon.ts';
import { createHome } from './home.ts';
import { type LaxServer, startLaxServer } from './lax-mcp-server.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { type RawCall, type RawReply, sendRaw } from './raw-http.ts';

export interface AttackWorld {
  broker: Broker;
  clock: ManualClock;
  port: number;
  /** The server of `coda`, which the agents may use. */
  coda: LaxServer;
  /** The server of `other`, which they may not. */
  other: LaxServer;
  /** Keys: `denied` by rules, `confined` to `read_*`, `free` of rules, `friend` free too. */
  keys: Record<'denied' | 'confined' | 'free' | 'friend', string>;
  /** One request with the key of an agent, `denied` unless said otherwise. */
  attack(call: Attack, key?: keyof AttackWorld['keys']): Promise<RawReply>;
  /** The same request at the server itself, to see that it would do harm. */
  direct(call: Attack): Promise<RawReply>;
  close(): Promise<void>;
}

/** What differs from a call of MCP as it should be. */
export interface Attack extends Partial<RawCall> {
  /** Without the usual headers: key and content type. */
  bare?: boolean;
}

/** Credentials that must never show on the agents' side, or reach the wrong server. */
export const SECRETS = { coda: 'upstream-credential-of-coda', other: 'upstream-credential-of-other' };

export const JSON_TYPE: [string, string] = ['Content-Type', 'application/json'];

/** One message. */
export const message = (method: string, params?: unknown, id: unknown = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });

/** A call of a tool. */
export const toolCall = (name: unknown, id: unknown = 1): string =>
  message('tools/call', { name, arguments: {} }, id);

async function startAttackWorld(): Promise<AttackWorld> {
  const home = await createHome();
  const clock = createManualClock();
  const log = createLog('silent');
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const broker = await openBroker({ settings, clock, log, create: true });
  const [coda, other] = await Promise.all([startLaxServer(), startLaxServer()]);
  for (const [name, { url }] of Object.entries({ coda, other })) {
    const token = new Secret(SECRETS[name as keyof typeof SECRETS]);
    await broker.addStatic({ name, url, credential: { kind: 'bearer', token } });
  }
  const add = async (name: string, rules: object = {}) => {
    const wanted = { name, allow: ['coda'], modes: ['gateway' as const], admin: false, expiresAt: null };
    return (await broker.agents.add({ ...wanted, ...rules })).key.reveal();
  };
  const keys = {
    denied: await add('denied', {
      toolDeny: ['delete_*'],
      promptDeny: ['secret_*'],
      resourceDeny: ['file:///secret/*'],
    }),
    confined: await add('confined', { toolAllow: ['read_*'] }),
    free: await add('free'),
    friend: await add('friend'),
  };
  const daemon = await startDaemon(broker, DAEMON_DEFAULTS, { clock, log });
  const port = Number(new URL(daemon.urls[0] as string).port);
  const complete = ({ bare, headers = [], ...call }: Attack, target: string, token: string): RawCall => ({
    ...{ target, ...call },
    headers: bare ? headers : [['Authorization', `Bearer ${token}`], ...withType(headers)],
  });
  return {
    ...{ broker, clock, port, coda, other, keys },
    attack: (call, key = 'denied') => sendRaw(port, complete(call, '/mcp/coda', keys[key])),
    direct: (call) => sendRaw(coda.port, complete({ ...call, target: '/mcp' }, '/mcp', SECRETS.coda)),
    async close() {
      await daemon.close();
      await Promise.all([coda.close(), other.close()]);
      await home.remove();
    },
  };
}

function withType(headers: [string, string][]): [string, string][] {
  return headers.some(([name]) => name.toLowerCase() === 'content-type') ? headers : [JSON_TYPE, ...headers];
}

/** One world for all tests of the file; after each test the servers have seen nothing. */
export function shareAttackWorld(take: (world: AttackWorld) => void): void {
  let world: AttackWorld;
  beforeAll(async () => {
    world = await startAttackWorld();
    take(world);
  });
  beforeEach(() => {
    world.coda.reset();
    world.other.reset();
  });
  afterAll(() => world.close());
}

/** Fails when the agent was told a credential, or the forbidden server was reached, or reached with a wrong one. */
export function expectNothingLeaked({ coda, other }: AttackWorld, reply: RawReply): void {
  for (const secret of Object.values(SECRETS)) expect(reply.text).not.toContain(secret);
  expect(other.requests).toEqual([]);
  for (const { path, headers } of coda.requests) {
    expect(path).toBe('/mcp');
    expect(headers.host).toBe(`127.0.0.1:${coda.port}`);
    expect(headers.authorization).toBe(`Bearer ${SECRETS.coda}`);
  }
}
