/**
 * The access token of one connection, kept as long as it is good.
 *
 * The daemon is asked when a token nears its end, never for each request: first behind the back of callers, who go
 * on with the present token, and in its last moments while they wait. A daemon that is down for a while is not
 * noticed as long as the token lives. However many callers want a token at once, one question goes out.
 */
import type { Answer, Daemon } from './daemon.ts';
import { BrokerClientError, isTemporary } from './errors.ts';

/** A token counts as ended this much early, so that it survives the trip to the server. */
const SKEW_MS = 10_000;

/**
 * A refusal this soon after a replacement is taken as one of the token before, by callers who cannot tell: it was
 * on its way when the replacement came. The daemon would refuse to refresh so soon anyway.
 */
const LATE_REFUSAL_MS = 30_000;

/** What may stand in a header: visible ASCII. */
const VISIBLE = /^[\x21-\x7e]+$/;

/** A token in use. */
export interface Token {
  accessToken: string;
  generation: number;
  /** What it was issued for. Empty: not told. */
  resource: string;
}

/** Starts measuring; the answer tells the milliseconds since. */
export type StartWatch = () => () => number;

/** Seams for tests. */
export interface TokenSeams {
  startWatch: StartWatch;
  /** From 0 to 1. */
  random(): number;
}

export interface Tokens {
  /** A token that can be sent now. */
  current(): Promise<Token>;
  /**
   * A token newer than the one of generation `refused`. Throws what the daemon says when there is none, such as
   * `rate_limited` for a token that was refreshed a moment ago: its age is not the problem.
   */
  replace(refused: number): Promise<Token>;
  /** The same for callers who do not know which token was refused; does nothing where a newer one just came. */
  replaceCurrent(): Promise<void>;
}

interface Held extends Token {
  /** Milliseconds since the answer it came with. */
  age(): number;
  /** Milliseconds since this generation was first seen. */
  known(): number;
  isReplacement: boolean;
  /** Which question it answers: what an older one brings later may be older too. */
  question: number;
  schedule: Schedule;
}

/** Milliseconds of age from which to ask behind the callers' backs, to let them wait, and not to use it any more. */
interface Schedule {
  renewAfter: number;
  waitAfter: number;
  endsAfter: number;
}

/** By the clock that says more: one of them stops while the machine sleeps, the other can be set back. */
const startWatch: StartWatch = () => {
  const wall = Date.now();
  const steady = performance.now();
  return () => Math.max(Date.now() - wall, performance.now() - steady);
};

/** Tokens of the daemon's connection. */
export function createTokens(
  daemon: Daemon,
  seams: TokenSeams = { startWatch, random: Math.random },
): Tokens {
  let held: Held | undefined;
  let questions = 0;
  let asking: Promise<Held> | undefined;
  let replacing: { refused: number; answer: Promise<Held> } | undefined;

  /** Asks and keeps the answer, unless a later question was answered in the meantime. */
  async function receive(refused?: number): Promise<Held> {
    questions += 1;
    const question = questions;
    const answer = await (refused === undefined
      ? daemon.ask('/token', { query: daemon.minTtl > 0 ? `?min_ttl=${daemon.minTtl}` : '' })
      : daemon.ask('/token', { body: { rejected_generation: refused, min_ttl: daemon.minTtl } }));
    const token = readToken(answer);
    if (!token) throw daemon.strange(200);
    if (held && held.question > question && refused === undefined) return held;
    const isSame = held?.generation === token.generation;
    held = {
      ...token,
      question,
      age: seams.startWatch(),
      known: held && isSame ? held.known : seams.startWatch(),
      isReplacement: held !== undefined && (isSame ? held.isReplacement : true),
      schedule: plan(answer, daemon.minTtl * 1000, seams.random()),
    };
    return held;
  }

  /** One question at a time. A token that still lives is better than none. */
  function ask(): Promise<Held> {
    asking ??= receive()
      .catch((error: unknown) => {
        const left = held ? held.schedule.endsAfter - held.age() : 0;
        if (held && left > 0 && isTemporary(error)) {
          held = { ...held, age: seams.startWatch(), schedule: planLater(left, error, seams.random()) };
          return held;
        }
        held = undefined;
        throw error;
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  }

  async function current(): Promise<Token> {
    // The held token was refused, and a newer one is on its way.
    if (replacing && replacing.refused === held?.generation) await replacing.answer.catch(forgiveHaste);
    const age = held?.age() ?? 0;
    if (!held || age >= held.schedule.endsAfter) return ask();
    if (age < held.schedule.renewAfter) return held;
    const present = held;
    const next = ask();
    if (age >= present.schedule.waitAfter) return next;
    next.catch(() => {});
    return present;
  }

  async function replace(refused: number): Promise<Token> {
    if (held && held.generation !== refused) return current();
    if (replacing?.refused !== refused) {
      const started = { refused, answer: receive(refused) };
      started.answer = started.answer
        .catch((error: unknown) => {
          if (!isTemporary(error)) held = undefined;
          throw error;
        })
        .finally(() => {
          if (replacing === started) replacing = undefined;
        });
      replacing = started;
    }
    return replacing.answer;
  }

  return {
    current,
    replace,
    async replaceCurrent() {
      if (!held || (held.isReplacement && held.known() < LATE_REFUSAL_MS)) return;
      await replace(held.generation);
    },
  };
}

function readToken({ access_token, generation, resource }: Answer): Token | undefined {
  if (typeof access_token !== 'string' || !VISIBLE.test(access_token) || typeof generation !== 'number')
    return;
  return { accessToken: access_token, generation, resource: typeof resource === 'string' ? resource : '' };
}

/**
 * When to ask again. By the seconds left, because the clock of the daemon may not be ours; the times of day only
 * tell how long before the end a newer token is to be had.
 *
 * @param jitter from 0 to 1: agents that got a token together shall not ask together
 */
function plan({ expires_in, expires_at, refresh_after }: Answer, minTtlMs: number, jitter: number): Schedule {
  if (typeof expires_in !== 'number') {
    return { renewAfter: Infinity, waitAfter: Infinity, endsAfter: Infinity };
  }
  const endsAfter = Math.max(0, expires_in * 1000);
  // One that is short already was clamped: waiting until half of the rest is over comes to an end soon.
  const waitAfter =
    endsAfter > minTtlMs ? endsAfter - Math.max(minTtlMs, Math.min(SKEW_MS, endsAfter / 10)) : endsAfter / 2;
  const ahead = Date.parse(String(expires_at)) - Date.parse(String(refresh_after));
  const newer = Math.min(Math.max(0, Number.isNaN(ahead) ? waitAfter : endsAfter - ahead), waitAfter);
  return { renewAfter: between(newer, waitAfter, jitter), waitAfter, endsAfter };
}

/** After a failure: asks again while part of the rest is left, less often the longer that is. */
function planLater(left: number, error: unknown, jitter: number): Schedule {
  const asked = error instanceof BrokerClientError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
  const waitAfter = left - Math.min(SKEW_MS, left / 10);
  return { renewAfter: between(Math.min(asked, waitAfter), waitAfter, jitter), waitAfter, endsAfter: left };
}

/** An instant in the first half, but not at its very beginning, so that asking in vain gets rarer, not denser. */
function between(from: number, to: number, jitter: number): number {
  return from + (to - from) * (0.1 + 0.4 * jitter);
}

/** A token that was refreshed a moment ago is as new as can be: whoever has not tried it yet may. */
function forgiveHaste(error: unknown): void {
  if (!(error instanceof BrokerClientError) || error.code !== 'rate_limited') throw error;
}
