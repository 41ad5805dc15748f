/**
 * A person at a terminal with no browser at hand, who approves whatever they are asked: opens the link that
 * `broker login` prints, and pastes the address the server sends them to.
 */
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { beginLogin } from '../support/sign-in.ts';

/** Ends before the suite's runner gives up on us, so that its result tells why. */
const LOGIN_TIMEOUT_MS = 10_000;

/** Signs in at `url`. Throws what the broker refuses a login with. */
export async function signIn(broker: Broker, url: string, request: Partial<LoginRequest>): Promise<void> {
  const login = beginLogin(broker, url, { timeoutMs: LOGIN_TIMEOUT_MS, ...request });
  login.paste(await approve(await login.authorizationUrl));
  await login.done;
}

/** The suite's authorization servers ask nothing: they send the browser back at once. */
async function approve(authorizationUrl: string): Promise<string> {
  const response = await fetch(authorizationUrl, { redirect: 'manual' });
  await response.body?.cancel();
  const location = response.headers.get('location');
  if (location === null)
    throw new Error(`the authorization endpoint answered ${response.status}, not a redirect`);
  return location;
}
