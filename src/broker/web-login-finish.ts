/**
 * What a browser brings back to the daemon. The `state` is all it is known by: it leads to one login that was begun for
 * this very redirect URI, it is used once, and nothing else of the answer decides what is connected.
 *
 * Whoever comes a second time, with the back button or with a copy of the address, is told so and changes nothing. What
 * is wrong before the code was spent, and may pass, leaves the login as it was: the page can be loaded again.
 */
import { BrokerError } from '../errors.ts';
import { CALLBACK_PAGE_HEADERS, type CallbackPage, renderCallbackPage } from '../oauth/callback-page.ts';
import { reached } from '../steps.ts';
import { consumeLogin } from '../vault/logins.ts';
import { endLogin, findWebLoginByState, type WebLogin } from '../vault/web-logins.ts';
import type { Context } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import type { LoginAnswer } from './login-answer.ts';
import { redeemAnswer } from './login-finish.ts';
import { readAnswer } from './login-redirect.ts';
import { BUSY, connectedPage, ENDED, failedPage, UNKNOWN, usedPage } from './web-login-pages.ts';

/** What the browser is answered. */
export interface CallbackAnswer {
  status: number;
  headers: Readonly<Record<string, string>>;
  html: string;
}

/** Takes the answer. Never throws. */
export async function finishWebLogin(
  context: Context,
  redirectUri: string | undefined,
  parameters: URLSearchParams,
): Promise<CallbackAnswer> {
  const page = await pageFor(context, redirectUri, parameters).catch((error: unknown) => {
    context.log.warn({ err: error }, 'a login that came back could not be taken yet');
    return BUSY;
  });
  const status = page === BUSY ? 503 : page.isSuccess ? 200 : 400;
  return { status, headers: CALLBACK_PAGE_HEADERS, html: renderCallbackPage(page) };
}

/** Throws what may pass: then nothing was spent. */
async function pageFor(
  context: Context,
  redirectUri: string | undefined,
  parameters: URLSearchParams,
): Promise<CallbackPage> {
  const { vault, clock } = context;
  const [state, another] = parameters.getAll('state');
  if (redirectUri === undefined || state === undefined || another !== undefined) return UNKNOWN;
  const find = () => vault.run(() => findWebLoginByState(redirectUri, state, clock.now()));
  const login = await find();
  if (!login) return UNKNOWN;
  if (login.usedAt !== null) return usedPage(login);
  if (!login.waiting || login.expiresAt <= clock.now()) return ENDED;

  const answer = await readAnswer(context, login.waiting, parameters).catch((error: unknown) => {
    if (error instanceof BrokerError && DEFINITE.has(error.code)) return error;
    throw error;
  });
  if (!answer) return UNKNOWN;
  reached('login.answered');
  // The lease comes before the code is spent: what waiting for it could cost must not exist yet.
  const page = await withLease(context, leaseOf(login.connection), async () => {
    const consumed = await vault.transaction(() => consumeLogin(login.id, clock.now()));
    if (consumed !== 'ok') return consumed === 'ended' ? ENDED : undefined;
    return answer instanceof BrokerError ? fail(context, login, answer) : redeem(context, login, answer);
  });
  // Somebody came with the same answer and was faster.
  return page ?? usedPage((await find()) ?? login);
}

/** What a checked answer is refused with: it will not become better. */
const DEFINITE = new Set(['login_denied', 'login_refused', 'callback_invalid']);

/** Never throws: the code is spent, and how that went must be told. */
async function redeem(
  context: Context,
  login: WebLogin,
  answer: Omit<LoginAnswer, 'show'>,
): Promise<CallbackPage> {
  try {
    return connectedPage(await redeemAnswer(context, answer));
  } catch (error) {
    return fail(context, login, error);
  }
}

/** Writes down why, in the words that the agent and the person are told. */
async function fail(context: Context, login: WebLogin, error: unknown): Promise<CallbackPage> {
  const { vault, clock, log } = context;
  const { id, connection, begunBy: actor } = login;
  const isKnown = error instanceof BrokerError;
  const code = isKnown ? error.code : 'internal';
  const message = isKnown ? error.message : 'something went wrong; the log of the broker tells more';
  if (!isKnown) log.error({ err: error, connection, login: id }, 'a login failed');
  await vault
    .transaction(function* () {
      yield* endLogin(id, { code, message }, clock.now());
      yield* vault.audit.append({
        ...{ actor, action: 'login', connection, outcome: code, detail: { login: id } },
      });
    })
    .catch((cause: unknown) =>
      log.error({ err: cause, connection, login: id }, 'a failure was not recorded'),
    );
  return failedPage({ code, message });
}
