/** Signing in on another device (RFC 8628): a short code is shown here and typed in wherever a browser is. */

import { BrokerError } from '../errors.ts';
import { beginDevice, type DeviceAuthorization, pollDevice } from '../oauth/device.ts';
import { abortable } from '../oauth/http.ts';
import type { TokenAnswer } from '../oauth/token-request.ts';
import { reached } from '../steps.ts';
import type { Context } from './context.ts';
import { leaseOf, withLease } from './lease.ts';
import { withAccount } from './login-account.ts';
import { interrupted, timedOut } from './login-answer.ts';
import type { ConnectedEvent, LoginHooks } from './login-events.ts';
import { keepLogin, type LoginPlan } from './login-finish.ts';
import { readTokens } from './login-tokens.ts';
import { errorOf } from './manner.ts';

/** RFC 8628 §3.5: by this much slower, each time the server says so. */
const SLOWER_MS = 5_000;

/** Throws what a device request and the end of a login throw, `login_timeout`, `interrupted`. */
export async function signInByDevice(
  context: Context,
  plan: LoginPlan,
  { onEvent, signal }: LoginHooks,
): Promise<ConnectedEvent> {
  const { clock } = context;
  const { purpose, timeoutMs, settings } = plan;
  const begun = await beginDevice({
    ...requestOf(context, plan),
    scope: purpose.scope,
    fetch: abortable(context.fetchFor(settings.network), signal),
  });
  const endsAt = Math.min(begun.expiresAt, clock.now() + timeoutMs);
  onEvent({
    event: 'device_code',
    verification_uri: begun.verificationUri,
    ...(begun.verificationUriComplete === undefined
      ? {}
      : { verification_uri_complete: begun.verificationUriComplete }),
    user_code: begun.userCode,
    expires_in: Math.round((endsAt - clock.now()) / 1000),
  });
  let { intervalMs } = begun;
  while (clock.now() < endsAt) {
    await clock.wait(intervalMs, signal).catch(() => {
      throw interrupted();
    });
    // Each poll may be the one that brings the tokens: what waiting for the lease could cost must not exist yet.
    const polled = await withLease(context, leaseOf(purpose.connection), () => poll(context, plan, begun));
    if (polled === 'slow_down') intervalMs += SLOWER_MS;
    else if (polled !== 'pending') return polled;
  }
  throw timedOut(endsAt === begun.expiresAt ? begun.expiresAt - clock.now() + timeoutMs : timeoutMs);
}

/** Asks once, and keeps what comes. */
async function poll(
  context: Context,
  plan: LoginPlan,
  authorization: DeviceAuthorization,
): Promise<ConnectedEvent | 'pending' | 'slow_down'> {
  const { settings, metadata, purpose } = plan;
  const fetch = context.fetchFor(settings.network);
  const polled = await pollDevice({ ...requestOf(context, plan), authorization, fetch });
  if (polled.kind !== 'answer') return polled.kind;
  refuseUndecided(polled.answer, metadata.issuer);
  reached('login.redeemed');
  const tokens = readTokens(polled.answer, metadata, context.clock.now(), purpose.scope);
  return keepLogin(
    context,
    plan,
    await withAccount(context, tokens, { metadata, network: settings.network }),
  );
}

/** The two ways in which it ends without a token (RFC 8628 §3.5). */
function refuseUndecided(answer: TokenAnswer, issuer: string): void {
  switch (errorOf(answer)) {
    case 'access_denied':
      throw new BrokerError('login_denied', `the login was denied at ${issuer}`, {
        hint: 'nothing was changed; run the login again and approve it',
      });
    case 'expired_token':
      throw new BrokerError('login_timeout', 'nobody typed in the code before it ended', {
        hint: 'run the login again for a new one',
      });
  }
}

function requestOf({ clock }: Context, { metadata, client, settings, purpose }: LoginPlan) {
  const resource = settings.resourceParameter === 'send' ? purpose.resource : undefined;
  return { metadata, client, resource, basicEncoding: settings.basicEncoding, now: () => clock.now() };
}
