/**
 * Waiting for the person to come back: the browser at our listener, or the redirect URL pasted from another
 * machine, whichever is first. What is not the answer to our question is said to be so and changes nothing.
 */
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { checkCallback } from '../oauth/authorization.ts';
import type { CallbackPage } from '../oauth/callback-page.ts';
import type { LoopbackListener } from '../oauth/loopback.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { Secret } from '../secret.ts';

export interface AnswerSources {
  listener: LoopbackListener;
  /** Lines the person pastes. Its end does not end the wait. Undefined: nobody can paste. */
  pasted: AsyncIterable<string> | undefined;
  /** Says something to the person, such as why a pasted line was not taken. */
  notify: (message: string) => void;
  clock: Clock;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

export interface LoginAnswer {
  parameters: URLSearchParams;
  /** Shows in the browser how it ended; does nothing for a pasted answer. */
  show(page: CallbackPage): void;
}

/**
 * Throws `login_timeout`, `interrupted`, and what `checkCallback` throws for an answer that is ours but bad.
 */
export async function awaitAnswer(
  sources: AnswerSources,
  state: Secret,
  metadata: ServerMetadata,
): Promise<LoginAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<LoginAnswer>();
  const done = new AbortController();

  /** True when it was the answer, good or bad. */
  function consider(parameters: URLSearchParams, show: (page: CallbackPage) => void): boolean {
    try {
      const callback = checkCallback(parameters, state, metadata);
      if (callback.kind === 'foreign') {
        show(FOREIGN_PAGE);
        sources.notify(
          'an answer that belongs to another login was ignored (its state is not ours); still waiting',
        );
        return false;
      }
      resolve({ parameters: callback.parameters, show });
    } catch (error) {
      show(failurePage(error));
      reject(error);
    }
    return true;
  }

  sources.listener.onArrival(({ parameters, answer }) => {
    if (done.signal.aborted) answer(FOREIGN_PAGE);
    else consider(parameters, answer);
  });
  void readPasted(sources, consider, done.signal);
  const limits = limit(sources, done.signal);
  try {
    return await Promise.race([promise, limits]);
  } finally {
    done.abort();
  }
}

async function readPasted(
  { pasted, notify }: AnswerSources,
  consider: (parameters: URLSearchParams, show: () => void) => boolean,
  done: AbortSignal,
): Promise<void> {
  for await (const line of pasted ?? []) {
    if (done.aborted) return;
    if (line.trim() === '') continue;
    const parameters = readPastedRedirect(line);
    if (parameters === undefined) {
      notify(
        'that is not the address the browser was sent to; paste the whole line that begins with http://127.0.0.1',
      );
    } else if (consider(parameters, () => {})) return;
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
      'if the server showed an error instead of asking for consent, our registration there may be gone',
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
