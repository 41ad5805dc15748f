/** What `broker check` thinks of a connection: fine, needs attention soon, needs somebody now. */
import { type Connection, fixingCommand, isRenewable } from './connection.ts';
import { isAlive } from './refresh-policy.ts';

/** Exit codes of one finding; `check` ends with the worst of them. */
export type CheckCode = 0 | 1 | 2 | 75;

export interface Finding {
  code: CheckCode;
  /** One line for people. */
  message: string;
  /** The command that mends it. Null: nothing to do. */
  nextStep: string | null;
}

/** 2 (somebody must act) is worse than 75 (provider down), which is worse than 1 (soon). */
const BY_WEIGHT: CheckCode[] = [0, 1, 75, 2];

/** The worst of several; 0 for none. */
export function worstOf(codes: CheckCode[]): CheckCode {
  return codes.reduce(
    (worst, code) => (BY_WEIGHT.indexOf(code) > BY_WEIGHT.indexOf(worst) ? code : worst),
    0,
  );
}

/**
 * Judges a connection without asking anybody.
 *
 * @param clientSecretExpiresAt epoch ms, null when it does not end
 * @param warnWithinMs how long before an end nobody but a person can put off it is worth a warning
 */
export function findingFor(
  connection: Connection,
  clientSecretExpiresAt: number | null,
  now: number,
  warnWithinMs: number,
): Finding {
  const nextStep = fixingCommand(connection);
  const cause = connection.cause ?? connection.state;
  const isUsable = isAlive(connection, now);
  switch (connection.state) {
    case 'login_required':
    case 'client_invalid':
    case 'config_error':
    case 'disabled':
      return { code: 2, message: `${connection.state}: ${cause}`, nextStep };
    case 'degraded':
    case 'uncertain':
      return isUsable
        ? { code: 1, message: `${connection.state}: ${cause}; the present token still works`, nextStep }
        : { code: 75, message: `${connection.state}: ${cause}; no valid token at the moment`, nextStep };
    case 'ok':
      return findingForHealthy(connection, clientSecretExpiresAt, now, warnWithinMs);
  }
}

function findingForHealthy(
  connection: Connection,
  clientSecretExpiresAt: number | null,
  now: number,
  warnWithinMs: number,
): Finding {
  const nextStep = `broker login ${connection.name}`;
  const { accessExpiresAt } = connection;
  const isOnItsOwn = !isRenewable(connection);
  const soon = (message: string): Finding => ({ code: 1, message, nextStep });
  if (isOnItsOwn && accessExpiresAt !== null && accessExpiresAt <= now) {
    return { code: 2, message: 'the token has expired and cannot be refreshed', nextStep };
  }
  if (clientSecretExpiresAt !== null && clientSecretExpiresAt - now <= warnWithinMs) {
    const when =
      clientSecretExpiresAt <= now ? 'has expired' : `expires ${inDays(clientSecretExpiresAt - now)}`;
    return soon(`the client secret ${when}; signing in again gets a new one`);
  }
  if (isOnItsOwn && accessExpiresAt === null)
    return soon('no refresh token, and nobody knows when the login ends');
  if (isOnItsOwn && accessExpiresAt !== null && accessExpiresAt - now <= warnWithinMs) {
    return soon(`no refresh token: the login ends ${inDays(accessExpiresAt - now)}`);
  }
  return { code: 0, message: 'ok', nextStep: null };
}

const DAY_MS = 24 * 60 * 60_000;
const HOUR_MS = 60 * 60_000;

function inDays(ms: number): string {
  if (ms >= 2 * DAY_MS) return `in ${Math.floor(ms / DAY_MS)} days`;
  if (ms >= 2 * HOUR_MS) return `in ${Math.floor(ms / HOUR_MS)} hours`;
  return `in ${Math.max(1, Math.floor(ms / 60_000))} min`;
}
