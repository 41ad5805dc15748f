/**
 * What lies between the brokers on one vault and the server: requests on their way, answers on theirs, deadlines, and
 * the places where a broker may stop for a while or for ever.
 */
import { type Fetch, type FetchInit, REQUEST_DEADLINE_MS } from '../../src/oauth/http.ts';
import { fingerprint } from '../../src/secret.ts';
import type { FaultName } from './hostile-faults.ts';
import { type Departure, type MemoryServer, networkFailure, type Served } from './memory-server.ts';
import type { Turnstile } from './turnstile.ts';

/** Places on the way of a refresh, login or logout at which a broker can be told to stop. */
export const STOP_PLACES = [
  'before the journal',
  'before sending',
  'before the answer',
  'before release',
] as const;
export type StopPlace = (typeof STOP_PLACES)[number];

/** One of the brokers on a vault, as the world around it sees it. */
export interface Peer {
  place: number;
  isResident: boolean;
  /** Asleep like a stopped process: it goes on where it stood, and its leases may have ended. Dead: never again. */
  condition: 'awake' | 'asleep' | 'dead';
  /** Where it will stop, and how. */
  stop: { place: StopPlace; how: 'asleep' | 'dead' } | undefined;
}

/** One request of a broker, from its sending to its end. */
export interface Letter {
  peer: Peer;
  kind: 'refresh' | 'code' | 'revocation' | 'lookup';
  sentAt: number;
  /** The refresh token in it. */
  token: { value: string; fingerprint: string } | undefined;
  /** What a refresh names beside the token. */
  manner: { namesResource: boolean; namesScope: boolean } | undefined;
  served: Served | undefined;
  /** Kept on its way, or its answer is. */
  held: 'request' | 'answer' | undefined;
  /** Its sender died and took it along. */
  isLost: boolean;
  /** Its sender slept meanwhile: its lease may have ended. */
  wasAsleep: boolean;
  /** What became of it at the sender. Undefined: still on its way. */
  end: 'answered' | 'broken' | 'timed out' | undefined;
  /** What spoilt it. */
  fault: FaultName | undefined;
  /** Body of the answer that was heard. */
  body: Record<string, unknown>;
}

export interface PeerNetwork {
  /** The `fetch` of this broker. */
  fetchFor(peer: Peer): Fetch;
  inFlight: ReadonlySet<Letter>;
  /** Keeps the next request to an endpoint that changes something, or its answer. */
  holdNext(what: 'request' | 'answer' | undefined): void;
  /** Whether the next one would be kept. */
  isHolding(): boolean;
  /** Lets the oldest that is kept go on. */
  letGo(): void;
  /** Stops a broker where it stands. */
  stop(peer: Peer, how: 'asleep' | 'dead'): void;
  /** Stops it if it was told to stop here. */
  stopIfTold(peer: Peer, place: StopPlace): void;
  /** Told the moment a refresh leaves, and the moment its sender hears of it. Code and revocation only the latter. */
  onSend: (letter: Letter) => void;
  onEnd: (letter: Letter) => void;
}

export interface PeerNetworkOptions {
  server: MemoryServer;
  turnstile: Turnstile;
  now: () => number;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Whether this broker takes notice of anything. */
export const isAwake = (peer: Peer) => () => peer.condition === 'awake';

export function createPeerNetwork({ server, turnstile, now, sleep }: PeerNetworkOptions): PeerNetwork {
  const inFlight = new Set<Letter>();
  let hold: 'request' | 'answer' | undefined;

  function write(peer: Peer, url: URL, form: URLSearchParams): Letter {
    const kind = kindOf(url, form);
    const held = kind === 'lookup' ? undefined : hold;
    if (kind !== 'lookup') hold = undefined;
    const value = kind === 'refresh' ? (form.get('refresh_token') ?? '') : undefined;
    return {
      ...{ peer, kind, held, sentAt: now(), served: undefined, end: undefined, fault: undefined, body: {} },
      ...{ isLost: false, wasAsleep: false },
      token: value === undefined ? undefined : { value, fingerprint: fingerprint(value) },
      manner:
        value === undefined
          ? undefined
          : { namesResource: form.has('resource'), namesScope: form.has('scope') },
    };
  }

  /** The way there and back. */
  async function travel(letter: Letter, method: string, url: URL, text: string): Promise<Departure> {
    const { peer, kind } = letter;
    await turnstile.pass(() => letter.held !== 'request' && !letter.isLost && letter.end === undefined);
    if (kind === 'refresh') letter.fault = server.takeBarrier();
    if (letter.fault !== undefined) {
      await turnstile.pass(() => isAwake(peer)() && letter.end === undefined);
      finish(letter, 'broken');
      throw networkFailure(letter.fault);
    }
    letter.served = server.serve({ method, url, text, form: new URLSearchParams(text) });
    letter.fault = letter.served.presentation?.faulted;
    if (kind !== 'lookup') stopIfTold(peer, 'before the answer');
    const answer = await letter.served.answer.catch((error: Error) => error);
    await turnstile.pass(() => isAwake(peer)() && letter.held !== 'answer' && letter.end === undefined);
    if (answer instanceof Error) {
      finish(letter, 'broken');
      throw answer;
    }
    letter.body = readBody(answer.text);
    finish(letter, 'answered');
    return answer;
  }

  async function expire(letter: Letter, over: AbortSignal): Promise<never> {
    await sleep(REQUEST_DEADLINE_MS, over).catch(() => new Promise(() => {}));
    await turnstile.pass(() => isAwake(letter.peer)() && letter.end === undefined);
    letter.served?.abandon();
    finish(letter, 'timed out');
    throw new DOMException('the deadline has passed', 'TimeoutError');
  }

  function finish(letter: Letter, end: Letter['end']): void {
    letter.end = end;
    inFlight.delete(letter);
    network.onEnd(letter);
  }

  function stop(peer: Peer, how: 'asleep' | 'dead'): void {
    peer.condition = how;
    peer.stop = undefined;
    for (const letter of inFlight) if (letter.peer === peer) letter.wasAsleep = true;
  }

  function stopIfTold(peer: Peer, place: StopPlace): void {
    if (peer.condition === 'awake' && peer.stop?.place === place) stop(peer, peer.stop.how);
  }

  async function send(peer: Peer, address: string, init: FetchInit): Promise<Response> {
    const { method = 'GET', body } = init;
    const text = body instanceof URLSearchParams ? body.toString() : String(body ?? '');
    const url = new URL(address);
    const isLookup = kindOf(url, new URLSearchParams(text)) === 'lookup';
    stopIfTold(peer, isLookup ? 'before the journal' : 'before sending');
    if (peer.condition !== 'awake') await turnstile.pass(isAwake(peer));
    const letter = write(peer, url, new URLSearchParams(text));
    inFlight.add(letter);
    network.onSend(letter);
    const over = new AbortController();
    try {
      const answer = await Promise.race([travel(letter, method, url, text), expire(letter, over.signal)]);
      return new Response(answer.text, { status: answer.status, headers: answer.headers ?? {} });
    } finally {
      over.abort();
    }
  }

  const network: PeerNetwork = {
    fetchFor: (peer) => (address, init) => send(peer, address, init ?? {}),
    inFlight,
    holdNext(what) {
      hold = what;
    },
    isHolding: () => hold !== undefined,
    letGo() {
      const oldest = [...inFlight].find(({ held }) => held !== undefined);
      if (oldest) oldest.held = undefined;
    },
    stop,
    stopIfTold,
    onSend: () => {},
    onEnd: () => {},
  };
  return network;
}

function kindOf(url: URL, form: URLSearchParams): Letter['kind'] {
  if (url.pathname === '/revoke') return 'revocation';
  if (url.pathname !== '/token') return 'lookup';
  return form.get('grant_type') === 'refresh_token' ? 'refresh' : 'code';
}

function readBody(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
