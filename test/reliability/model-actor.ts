/** Carries out commands on a world of brokers, and asks its judge after each of them. */
import { OPERATOR } from '../../src/broker/context.ts';
import type { GrantedToken } from '../../src/broker/tokens.ts';
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import { BrokerError } from '../../src/errors.ts';
import type { Peer } from '../support/peer-network.ts';
import { type Call, LOGIN_TAG, type PeerWorld } from '../support/peer-world.ts';
import { beginLogin, type PendingLogin } from '../support/sign-in.ts';
import {
  type Grant,
  LONGEST_PAUSE_MS,
  mustGiveUp,
  type Reply,
  replyTo,
  replyWithoutRefresh,
} from './model.ts';
import { type Command, PLACES } from './model-commands.ts';
import type { Count, Judge } from './model-judge.ts';

export interface Actor {
  act(command: Command): Promise<void>;
  /** Faults end and sleepers wake: what must hold then is tried, without a person and with one. */
  end(): Promise<void>;
  /** Gives up the logins that still wait. */
  giveUp(): void;
}

/** A login that waits for its person. */
interface WaitingLogin {
  call: Call;
  pending: PendingLogin;
  url: string;
  beganAt: number;
}

/** So long a login waits. */
const LOGIN_PATIENCE_MS = 15 * 60_000;

/** Longer than a lease of the dead, and a deadline after it. */
const LEASES_END_MS = 3 * 60_000;

/** Longer than the pause between two looks at a lease. */
const A_MOMENT_MS = 1000;

/** More attempts than any grant needs that can be saved: both tokens it may have, each refused twice. */
const MOST_ROUNDS = 6;

/** What comes of a login for which its person, or the server, came too late. */
const FAILED_LOGINS = [
  'callback_invalid',
  'login_refused',
  'login_timeout',
  'upstream_unavailable',
  'port_in_use',
];

export function createActor(world: PeerWorld, judge: Judge, recovery: RecoveryPolicy, count: Count): Actor {
  const { network, server, turnstile } = world;
  const logins = new Set<WaitingLogin>();
  const everyLogin = new Set<PendingLogin>();
  /** Whether the person of a login came back, and it has gone on for some steps only. */
  let isLoginMoving = false;
  const highest = new WeakMap<Peer, { life: number; generation: number }>();
  // One that ended without being given back counts too: who takes it first waits for a sleeper's answer.
  const lease = world.database.prepare(
    "SELECT 1 FROM leases WHERE name = 'connection:demo' AND expires_at > 0",
  );

  const isAsleep = (at: number) => world.peers[at]?.condition === 'asleep';

  /** Whether somebody waits for the server. */
  const isWaiting = () => [...network.inFlight].some(({ peer }) => peer.condition === 'awake');

  /** Whether nobody else is at work, and nothing will go wrong but by the server's faults. */
  function isAlone(at: number): boolean {
    const others = [...world.calls].filter(
      ({ peer, tag }) => peer.condition === 'awake' && tag !== LOGIN_TAG,
    );
    const isFree = lease.get() === undefined && !isWaiting() && !isLoginMoving;
    return isFree && others.length === 0 && !network.isHolding() && world.peers[at]?.stop === undefined;
  }

  /** Begins a call and lets it go so far. Its reply, when nobody else was at work and it is over. */
  async function call(
    at: number,
    tag: string,
    steps: number | undefined,
    work: Parameters<PeerWorld['begin']>[2],
  ): Promise<{ value?: unknown; code?: string } | undefined> {
    const wasAlone = isAlone(at);
    const begun = await world.begin(at, tag, work);
    if (steps !== undefined) {
      await turnstile.step(steps);
      return undefined;
    }
    await turnstile.settle();
    judge.catchUp();
    if (begun.result !== undefined) return wasAlone ? readResult(begun) : undefined;
    // An earlier caller may have been let go: what it began looks for the lease again in a moment.
    if (wasAlone && !isWaiting()) await world.pass(A_MOMENT_MS);
    if (wasAlone && !isWaiting() && begun.result === undefined) judge.object(`${tag} hangs`);
    return undefined;
  }

  function readResult({ result, peer, tag }: Call): { value?: unknown; code?: string } {
    if (result === undefined || 'value' in result) return result ?? {};
    if (result.error instanceof BrokerError) return { code: result.error.code };
    if (peer.condition !== 'dead') judge.object(`${tag} ends with ${result.error}`);
    return { code: 'internal' };
  }

  async function ask(at: number, minTtlSeconds: number, isRejected: boolean, steps?: number) {
    await world.broker(at);
    judge.catchUp();
    const [before, sent, life, now] = [judge.grant(), judge.sent(), judge.life(), world.now()];
    const peer = world.peers[at] as Peer;
    const known = highest.get(peer);
    const least = known?.life === life ? known.generation : 0;
    const rejectedGeneration = isRejected ? before?.generation : undefined;
    const reply = await call(at, 'ask', steps, async (broker) => {
      const token = await broker.token(OPERATOR, 'demo', { minTtlSeconds, rejectedGeneration });
      receive(peer, token, life, least);
      return token;
    });
    if (!reply) return undefined;
    const grant = judge.grant();
    const first = before ? replyTo(before, { minTtlSeconds, isRejected }, now) : 'not_found';
    if (first === 'a refresh') expectAttempt(before, sent);
    const isStillRejected = isRejected && grant?.generation === before?.generation;
    const must = first === 'a refresh' && grant ? replyWithoutRefresh(grant, isStillRejected, now) : first;
    expectReply('ask', reply, must, grant);
    return reply.value as GrantedToken | undefined;
  }

  /** Checks a token at the moment it is handed out. */
  function receive(peer: Peer, token: GrantedToken, life: number, least: number): void {
    const { generation } = token;
    count('tokens handed out');
    if (!judge.isSaved(token.accessToken.reveal(), generation, life)) {
      judge.object(`a token of generation ${generation} is handed out that is not in the vault`);
    }
    if (judge.life() === life && generation < least) judge.object('an older token is handed out than before');
    const known = highest.get(peer);
    if (known?.life !== judge.life() || generation > known.generation) {
      highest.set(peer, { life: judge.life(), generation });
    }
  }

  function expectAttempt(before: Grant | undefined, sent: number): void {
    if (!before) return;
    const isTried = judge.sent() > sent;
    if (mustGiveUp(before) || before.state === 'login_required') {
      if (judge.grant()?.state !== 'login_required') judge.object('a login that must be given up is not');
    } else if (!isTried) judge.object('nothing is tried, although it is time');
  }

  function expectReply(
    tag: string,
    { value, code }: { value?: unknown; code?: string },
    must: Reply | 'not_found',
    grant: Grant | undefined,
  ): void {
    const is = code ?? 'the token';
    if (is !== must) judge.object(`${tag} is answered with ${is}, and must be with ${must}`);
    const { generation } = (value ?? {}) as { generation?: number };
    if (generation !== undefined && generation !== grant?.generation) {
      judge.object(`${tag} is answered with generation ${generation} of ${grant?.generation}`);
    }
  }

  async function refresh(at: number, steps: number | undefined): Promise<void> {
    await world.broker(at);
    judge.catchUp();
    const [before, sent] = [judge.grant(), judge.sent()];
    const reply = await call(at, 'refresh', steps, (broker) => broker.refresh(OPERATOR, 'demo'));
    if (!reply) return;
    const grant = judge.grant();
    expectAttempt(before, sent);
    const isRefreshed = grant?.state === 'ok' && grant.generation !== before?.generation;
    const refused = grant && replyWithoutRefresh(grant, true, world.now());
    expectReply(
      'refresh',
      reply,
      grant ? (isRefreshed ? 'the token' : (refused as Reply)) : 'not_found',
      grant,
    );
  }

  async function beginOne(at: number, isNewClient: boolean): Promise<void> {
    let pending: PendingLogin | undefined;
    const begun = await world.begin(at, LOGIN_TAG, (broker) => {
      // Port 0 fits no client of before: another one is registered.
      const client = isNewClient ? { callbackPort: 0 } : {};
      pending = beginLogin(broker, server.resource, { recovery, ...client });
      everyLogin.add(pending);
      return pending.done;
    });
    await turnstile.settle();
    const url = pending?.events.find((each) => each.event === 'authorization_url')?.url;
    if (pending && url) logins.add({ call: begun, pending, url, beganAt: world.now() });
    else if (begun.result) expectFailedLogin(begun);
  }

  async function finishOne(steps: number | undefined): Promise<void> {
    const login = [...logins].find(
      (each) => each.call.peer.condition === 'awake' && each.call.result === undefined,
    );
    if (!login) return;
    logins.delete(login);
    const { call: begun, pending, url, beganAt } = login;
    judge.catchUp();
    const before = judge.grant();
    const wasAlone = isAlone(begun.peer.place);
    pending.paste(server.approve(url));
    if (steps !== undefined) {
      isLoginMoving = true;
      return turnstile.step(steps);
    }
    await turnstile.settle();
    judge.catchUp();
    if (begun.result === undefined) return;
    if ('error' in begun.result) {
      expectFailedLogin(begun);
      if (wasAlone && world.now() < beganAt + LOGIN_PATIENCE_MS)
        judge.object('a login fails without a reason');
      return;
    }
    count('logins');
    const { state, generation } = judge.grant() ?? {};
    if (wasAlone && (state !== 'ok' || generation !== (before?.generation ?? 0) + 1)) {
      judge.object(`after a login the state is ${state}`);
    }
  }

  function expectFailedLogin(begun: Call): void {
    const { code = '' } = readResult(begun);
    if (!FAILED_LOGINS.includes(code)) judge.object(`a login fails with ${code}`);
  }

  async function logout(at: number, steps: number | undefined): Promise<void> {
    await world.broker(at);
    judge.catchUp();
    const before = judge.grant();
    const reply = await call(at, `logout ${judge.life()}`, steps, (broker) =>
      broker.logout(OPERATOR, 'demo'),
    );
    if (!reply) return;
    if ((reply.code === 'not_found') !== (before === undefined))
      judge.object(`logout ends with ${reply.code}`);
    if (judge.grant()) judge.object('after a logout there still is a grant');
  }

  async function stop(at: number, how: 'asleep' | 'dead', place: Extract<Command, { do: 'stop' }>['place']) {
    const peer = world.peers[at] as Peer;
    if (peer.condition !== 'awake') return;
    count(how === 'dead' ? 'crashes' : 'sleeps');
    // Asleep between journal and request, it would send long after its lease: no fence at the client can prevent that.
    if (place !== 'here') peer.stop = { place, how: place === 'before sending' ? 'dead' : how };
    else network.stop(peer, how);
    // The lookup of the server's metadata is what comes before the journal.
    if (place === 'before the journal') world.database.exec('DELETE FROM cache');
  }

  function wake(peer: Peer): void {
    Object.assign(peer, { condition: 'awake', stop: undefined });
  }

  async function perform(command: Command): Promise<void> {
    if ('at' in command && isAsleep(command.at) && command.do !== 'wake' && command.do !== 'restart') return;
    switch (command.do) {
      case 'ask':
        return void (await ask(command.at, command.minTtlSeconds, command.isRejected, command.steps));
      case 'refresh':
        return refresh(command.at, command.steps);
      case 'begin login':
        return beginOne(command.at, command.isNewClient);
      case 'finish login':
        return finishOne(command.steps);
      case 'logout':
        return logout(command.at, command.steps);
      case 'pass':
        return world.pass(command.ms);
      case 'pass to the next attempt':
        return world.pass(Math.max(0, (judge.grant()?.next?.earliest ?? 0) - world.now()));
      case 'fault':
        return server.setFault(command.name, command.times);
      case 'faults end':
        return server.setFault(undefined, 0);
      case 'revoke':
        return server.endNewestGrant();
      case 'hold':
        return network.holdNext(command.what);
      case 'let go':
        return network.letGo();
      case 'stop':
        return stop(command.at, command.how, command.place);
      case 'oversleep':
        await stop(command.at, 'asleep', 'before the answer');
        await refresh(command.at, undefined);
        return world.pass(LEASES_END_MS);
      case 'wake':
        return isAsleep(command.at) ? wake(world.peers[command.at] as Peer) : undefined;
      case 'restart':
        await world.shut(command.at);
        return void (await world.broker(command.at));
    }
  }

  async function end(): Promise<void> {
    server.setFault(undefined, 0);
    network.holdNext(undefined);
    for (const letter of network.inFlight) letter.held = undefined;
    for (const peer of world.peers) if (peer.condition !== 'dead') wake(peer);
    await settle();
    await world.pass(LEASES_END_MS);
    for (const { peer, tag } of world.calls) {
      if (peer.condition === 'awake' && tag !== LOGIN_TAG)
        judge.object(`a caller never gets a reply to ${tag}`);
    }
    await settle();
    await goOnAlone();
    await goOnWithLogin();
  }

  /** Within the longest pause a token is served again, or it is known that only a person can help. */
  async function goOnAlone(): Promise<void> {
    const needsPerson = (grant: Grant | undefined) =>
      grant === undefined || (grant.next === null && grant.state !== 'ok');
    for (let round = 0; round < MOST_ROUNDS && !needsPerson(judge.grant()); round += 1) {
      await world.pass(LONGEST_PAUSE_MS * 2);
      for (let at = 0; at < PLACES; at += 1) if (await isServed(at)) return;
    }
    if (judge.canGoOn() && !needsPerson(judge.grant()))
      judge.object('a grant the server accepts is not served');
    if (!needsPerson(judge.grant())) judge.object('nobody is told that the grant is dead');
    await settle();
  }

  /** Whether a broker hands out a token that the server takes, at the latest when it is told that it does not. */
  async function isServed(at: number): Promise<boolean> {
    for (const isRejected of [false, true]) {
      const token = await ask(at, 0, isRejected);
      await settle();
      if (server.resourceOf(token?.accessToken.reveal() ?? '') === server.resource) return true;
    }
    return false;
  }

  /** After a new login all is well at once, and everywhere. */
  async function goOnWithLogin(): Promise<void> {
    logins.clear();
    await beginOne(0, true);
    await finishOne(undefined);
    for (let at = 0; at < PLACES; at += 1) {
      if (!(await isServed(at))) judge.object('after a login no valid token is served');
    }
    await settle();
  }

  async function settle(): Promise<void> {
    await turnstile.settle();
    isLoginMoving = false;
    await judge.check();
  }

  return {
    async act(command) {
      count('commands');
      await perform(command);
      if ('steps' in command && command.steps !== undefined) return;
      await settle();
    },
    end,
    giveUp() {
      for (const pending of everyLogin) pending.abort();
    },
  };
}
