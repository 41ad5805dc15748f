/**
 * Waiting for the person to come back: the browser at our listener, or the redirect URL pasted from another
 * machine, whichever is first. What is not the answer to our question is said to be so and changes nothing.
 */
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { CallbackPage } from '../oauth/callback-page.ts';
import type { LoopbackListener } from '../oauth/loopback.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { Client } from '../vault/clients.ts';
import type { PendingLogin } from '../vault/logins.ts';

export interface AnswerSources {
  /** Undefined: nobody listens. */
  listener: LoopbackListener | undefined;
  /** Lines the person pastes. Its end does not end the wait. Undefined: nobody can paste. */
  pasted: AsyncIterable<string> | undefined;
  /** Says something to the person, such as why a pasted line was not taken. */
  notify: (message: string) => void;
  clock: Clock;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

/** A checked answer and the login it belongs to. */
export interface LoginAnswer {
  login: PendingLogin;
  client: Client;
  metadata: ServerMetadata;
  parameters: URLSearchParams;
  /** Shows in the browser how it ended; does nothing for a pasted answer. */
  show(page: CallbackPage): void;
}

/** Finds the login an answer belongs to. Undefined: none of ours. Throws for one that is ours but bad. */
export type Recognise = (parameters: URLSearchParams) => Promise<Omit<LoginAnswer, 'show'> | undefined>;

/**
 * The answer. Undefined: nobody listens, and what could be pasted has ended.
 *
 * Throws `login_timeout`, `interrupted`, and what `recognise` throws.
 *
 * @param bareCode makes the parameters of an answer from a code alone; undefined where that is not safe
 */
export async function awaitAnswer(
  sources: AnswerSources,
  recognise: Recognise,
  bareCode?: (code: string) => URLSearchParams,
): Promise<LoginAnswer | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<LoginAnswer | undefined>();
  const done = new AbortController();

  /** True when it was the answer, good or bad. */
  async function consider(parameters: URLSearchParams, show: (page: CallbackPage) => void): Promise<boolean> {
    try {
      const answer = await recognise(parameters);
      if (answer === undefined || done.signal.aborted) {
        show(FOREIGN_PAGE);
        if (!done.signal.aborted) sources.notify(FOREIGN_ANSWER);
        return false;
      }
      resolve({ ...answer, show });
      done.abort();
    } catch (error) {
      show(failurePage(error));
      reject(error);
    }
    return true;
  }

  sources.listener?.onArrival(({ parameters, answer }) => void consider(parameters, answer));
  void readPasted(sources, consider, done.signal, bareCode).then(() => {
    if (!sources.listener) resolve(undefined);
  });
  const limits = limit(sources, done.signal);
  try {
    return await Promise.race([promise, limits]);
  } finally {
    done.abort();
  }
}

const FOREIGN_ANSWER =
  'an answer that belongs to another login was ignored (its state is not ours); still waiting';
const NOT_A_REDIRECT =
  'that is not the address the browser was sent to; paste the whole line, with everything behind the question mark';

/** A code alone, as some pages show it for copying. */
const BARE_CODE = /^[^\s=&?]+$/;

async function readPasted(
  { pasted, notify }: AnswerSources,
  consider: (parameters: URLSearchParams, show: () => void) => Promise<boolean>,
  done: AbortSignal,
  bareCode: ((code: string) => URLSearchParams) | undefined,
): Promise<void> {
  for await (const line of pasted ?? []) {
    if (done.aborted) return;
    if (line.trim() === '') continue;
    const isCode = bareCode !== undefined && BARE_CODE.test(line.trim());
    const parameters = isCode ? bareCode(line.trim()) : readPastedRedirect(line);
    if (parameters === undefined) notify(NOT_A_REDIRECT);
    else if (await consider(parameters, () => {})) return;
  }
}

/** The query of a pasted redirect URL, or of a bare query string. Undefined when it is neither. */
export function readPastedRedirect(text: string): URLSearchParams | undefined {
  const trimmed = text.trim();
  const query = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? URL.parse(trimmed)?.search : trimmed;
  if (query === undefined || /\s/.test(query)) return undefined;
  const parameters = new URLSearchParams(query);
  const isAnswer = parameters.has('state') && (parameters.has('code') || parameters.has('error'));
  return isAnswer ? parameters : undefined;
}

async function limit({ clock, timeoutMs, signal }: AnswerSources, done: AbortSignal): Promise<never> {
  const either = signal ? AbortSignal.any([signal, done]) : done;
  try {
    await clock.wait(timeoutMs, either);
  } catch {
    throw interrupted();
  }
  throw timedOut(timeoutMs);
}

/** Nobody came back in time. */
export function timedOut(timeoutMs: number): BrokerError {
  return new BrokerError('login_timeout', `nobody came back within ${Math.round(timeoutMs / 1000)} s`, {
    hint:
      'run the login again, with --timeout for more time\n' +
      'if the server showed an error instead of asking for consent, it may have forgotten us: add --reregister',
  });
}

/** Nothing more can be pasted here; the login stays open for another terminal. */
export function inputEnded(connection: string, timeoutMs: number): BrokerError {
  return new BrokerError('login_timeout', 'the input ended before an answer was pasted', {
    hint:
      `the login stays open for ${Math.round(timeoutMs / 60_000)} min: approve it at the link above, then run\n` +
      `  broker login ${connection} --paste\nand paste the address there`,
  });
}

/** The person gave up before there was anything to lose. */
export function interrupted(): BrokerError {
  return new BrokerError('interrupted', 'the login was interrupted', {
    hint: 'nothing was changed; run it again',
  });
}

const FOREIGN_PAGE: CallbackPage = {
  isSuccess: false,
  title: 'This is not the login that is waiting',
  text: 'The address belongs to another or an older login. Use the link that was printed last.',
};

/** What the browser shows when the login failed. */
export function failurePage(error: unknown): CallbackPage {
  const text = error instanceof BrokerError ? error.message : 'an internal error';
  return {
    isSuccess: false,
    title: 'The login did not succeed',
    text: `${text}. The terminal says what to do next.`,
  };
}
