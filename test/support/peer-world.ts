/**
 * Several brokers ("peers") on one vault, in one process, with everything that reaches them under control: one clock,
 * one network, one turnstile. Each is a real broker on the real SQLite file; only the sockets to the server are left
 * out, because the hostile world and the process tests have them.
 *
 * A peer that sleeps or is dead takes notice of nothing any more, wherever it stood: no answer, no end of a wait, no
 * cipher comes back to it, so nothing of it reaches the disk. (Real processes under a real SIGKILL, at every named
 * step, are in `kill-matrix.test.ts`.)
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import type { Clock } from '../../src/clock.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { STEP_CHANNEL, type Step } from '../../src/steps.ts';
import { openVault, type Vault } from '../../src/vault/index.ts';
import { createHome } from './home.ts';
import { createManualClock } from './manual-clock.ts';
import { createMemoryServer, type MemoryServer } from './memory-server.ts';
import { createPeerNetwork, isAwake, type Peer, type PeerNetwork } from './peer-network.ts';
import { createTurnstile, gateCiphers, type Turnstile } from './turnstile.ts';

/** Something a peer was asked to do, until it is done. */
export interface Call {
  peer: Peer;
  tag: string;
  /** Undefined: still at it. */
  result: { value: unknown } | { error: unknown } | undefined;
}

export interface PeerWorld {
  server: MemoryServer;
  network: PeerNetwork;
  turnstile: Turnstile;
  /** Who has each place now. */
  peers: readonly Peer[];
  /** Calls that are not over. */
  calls: ReadonlySet<Call>;
  /** For looking at what is committed, and for what happens to a file from outside. */
  database: DatabaseSync;
  /** The vault opened once more, for its key. */
  eyes: Vault;
  now(): number;
  /** The broker at a place. One that died has a successor, which is opened here. */
  broker(place: number): Promise<Broker>;
  /** Closes the broker at a place; its successor opens when it is needed. */
  shut(place: number): Promise<void>;
  /** Begins something in the name of a peer. Every step of it is told with `tag`. */
  begin(place: number, tag: string, work: (broker: Broker) => Promise<unknown>): Promise<Call>;
  /** Lets time pass. Where everybody only sleeps, a long time is jumped over but for its end. */
  pass(ms: number): Promise<void>;
  /** Told of every step of every peer, with the tag it was begun with; undefined: on its own. */
  onStep: (step: Step, peer: Peer, tag: string | undefined) => void;
  close(): Promise<void>;
}

export interface PeerWorldOptions {
  /** Which of the places have residents. */
  residents: boolean[];
  graceMs: number;
  rotate: boolean;
  accessTokenSeconds: number;
  /** Picks one of `count`, from 0. */
  choose: (count: number) => number;
}

/** Time in which every scheduler takes a turn. */
const SCHEDULER_TURN_MS = 30_000;

/** Longer times are jumped over, as by a machine that sleeps. */
const LONG_MS = 10 * 60_000;

/** Time is given so to work that needs some. */
const PATIENCE_STEP_MS = 1000;

/** What a login is begun with: it may wait for its person. */
export const LOGIN_TAG = 'login';

/** Steps after which only the lease is left to be given back. */
const LAST_STEPS: readonly Step[] = ['refresh.saved', 'login.saved', 'logout.erased'];

/** Opens the first broker, which makes the vault. */
export async function startPeerWorld(options: PeerWorldOptions): Promise<PeerWorld> {
  const home = await createHome();
  const path = join(home.env.BROKER_HOME as string, 'broker.db');
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const clock = createManualClock();
  const turnstile = createTurnstile(options.choose);
  const server = createMemoryServer({ clock, ...options });
  const sleepers = new Set<{ dueAt: number }>();
  const network = createPeerNetwork({ server, turnstile, now: clock.now, sleep });
  const acting = new AsyncLocalStorage<{ peer: Peer; tag: string | undefined }>();
  const openCiphers = gateCiphers(turnstile, () => {
    const peer = acting.getStore()?.peer;
    return peer && isAwake(peer);
  });
  const peers = options.residents.map((isResident, place) => newPeer(place, isResident));
  const everPeers = new Set(peers);
  const opened = new Map<Peer, Broker>();
  const calls = new Set<Call>();
  /** Time that has passed without the jumps. */
  let elapsed = 0;

  async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const sleeper = { dueAt: elapsed + Math.max(0, ms) };
    sleepers.add(sleeper);
    try {
      await clock.wait(ms, signal);
    } finally {
      sleepers.delete(sleeper);
    }
  }

  function clockFor(peer: Peer): Clock {
    return {
      now: clock.now,
      async wait(ms, signal) {
        try {
          await sleep(ms, signal);
        } finally {
          await turnstile.pass(isAwake(peer));
        }
      },
    };
  }

  function newPeer(place: number, isResident: boolean): Peer {
    return { place, isResident, condition: 'awake', stop: undefined };
  }

  async function broker(place: number): Promise<Broker> {
    const last = peers[place] as Peer;
    const known = opened.get(last);
    if (known && last.condition !== 'dead') return known;
    const peer = newPeer(place, last.isResident);
    peers[place] = peer;
    everPeers.add(peer);
    const seams = { clock: clockFor(peer), fetch: network.fetchFor(peer) };
    const opening = acting.run({ peer, tag: undefined }, () =>
      openBroker({ settings, log: createLog('silent'), create: true, isResident: peer.isResident, ...seams }),
    );
    await patiently(opening);
    opened.set(peer, await opening);
    return opening;
  }

  async function begin(
    place: number,
    tag: string,
    work: (broker: Broker) => Promise<unknown>,
  ): Promise<Call> {
    const on = await broker(place);
    const peer = peers[place] as Peer;
    const call: Call = { peer, tag, result: undefined };
    calls.add(call);
    const end = (result: Call['result']) => {
      call.result = result;
      calls.delete(call);
    };
    acting
      .run({ peer, tag }, () => work(on))
      .then(
        (value) => end({ value }),
        (error: unknown) => end({ error }),
      );
    return call;
  }

  /** Nobody who is awake waits for an answer or for another. A person may take time. */
  function areAllIdle(): boolean {
    const busy = [...calls].filter(({ tag }) => tag !== LOGIN_TAG);
    return [...network.inFlight, ...busy].every(({ peer }) => peer.condition !== 'awake');
  }

  async function pass(ms: number): Promise<void> {
    let until = elapsed + ms;
    await turnstile.settle();
    while (elapsed < until) {
      if (until - elapsed > LONG_MS && areAllIdle()) {
        const jumped = until - elapsed - SCHEDULER_TURN_MS;
        clock.jump(jumped);
        until -= jumped;
      }
      const nextDue = Math.min(until, ...[...sleepers].map(({ dueAt }) => dueAt));
      await clock.advance(nextDue - elapsed);
      elapsed = nextDue;
      await turnstile.settle();
    }
  }

  /** Waits for work that may need time, unless it never ends. */
  async function patiently(work: Promise<unknown>, isEndless = () => false): Promise<void> {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    work.then(end, end);
    await turnstile.settle();
    while (!isOver && !isEndless()) await pass(PATIENCE_STEP_MS);
  }

  async function shut(place: number): Promise<void> {
    const peer = peers[place] as Peer;
    const closing = peer.condition === 'awake' ? opened.get(peer) : undefined;
    if (closing) {
      opened.delete(peer);
      await patiently(closing.close(), () => peer.condition !== 'awake');
    }
    peer.condition = 'dead';
  }

  async function close(): Promise<void> {
    for (const peer of everPeers) Object.assign(peer, { condition: 'awake', stop: undefined });
    for (const letter of network.inFlight) letter.held = undefined;
    // Nobody shall wait for the leases of the dead.
    database.exec('UPDATE leases SET expires_at = 0');
    await turnstile.settle();
    while (calls.size > 0) await pass(PATIENCE_STEP_MS);
    await patiently(Promise.all([...opened.values()].map((each) => each.close())));
    unsubscribe(STEP_CHANNEL, hear);
    openCiphers();
    database.close();
    await eyes.close();
    await home.remove();
  }

  function hear(step: unknown): void {
    const actor = acting.getStore();
    if (!actor) return;
    world.onStep(step as Step, actor.peer, actor.tag);
    if (LAST_STEPS.includes(step as Step)) network.stopIfTold(actor.peer, 'before release');
  }

  subscribe(STEP_CHANNEL, hear);
  await broker(0);
  const database = new DatabaseSync(path);
  const eyes = await openVault({ path, masterKey: settings.masterKey, clock, create: false });
  const world: PeerWorld = {
    ...{ server, network, turnstile, peers, calls, database, eyes, now: clock.now },
    ...{ broker, shut, begin, pass, onStep: () => {}, close },
  };
  return world;
}
