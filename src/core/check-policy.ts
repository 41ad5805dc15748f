/** What `broker check` thinks of a connection: fine, needs attention soon, needs somebody now. */
import { type Connection, enteringCommand, fixingCommand, isRenewable } from './connection.ts';
import { isStatic } from './credential-kind.ts';
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

const DAY_MS = 24 * 60 * 60_000;
const HOUR_MS = 60 * 60_000;

/** Before a client secret ends, a person has to sign in again: words for each nearness, the nearest first. */
const SECRET_LEVELS = [
  { withinMs: 3 * DAY_MS, advice: 'sign in again now: without it every refresh is refused' },
  { withinMs: 14 * DAY_MS, advice: 'sign in again soon, which gets a new one' },
  { withinMs: 30 * DAY_MS, advice: 'signing in again gets a new one' },
];

/** How early the end of a client secret is told, whatever `--warn-within` says: people take holidays. */
const SECRET_WARN_WITHIN_MS = 30 * DAY_MS;

/**
 * What to say of a client secret with an end: 1 from 30 days before (`warnWithinMs`, if that is longer), in other words
 * at 14 and at 3 days, 2 once it has ended. Undefined: nothing yet.
 *
 * @param expiresAt epoch ms
 */
export function clientSecretFinding(
  expiresAt: number,
  now: number,
  warnWithinMs = SECRET_WARN_WITHIN_MS,
): { code: 1 | 2; message: string } | undefined {
  const left = expiresAt - now;
  if (left <= 0) {
    return {
      code: 2,
      message: 'the client secret has ended: every refresh is refused until you sign in again',
    };
  }
  if (left > Math.max(SECRET_WARN_WITHIN_MS, warnWithinMs)) return undefined;
  const level = SECRET_LEVELS.find(({ withinMs }) => left <= withinMs) ?? SECRET_LEVELS.at(-1);
  return { code: 1, message: `the client secret ends ${inDays(left)}; ${level?.advice}` };
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
  const secret = secretOf(connection, clientSecretExpiresAt, now, warnWithinMs);
  switch (connection.state) {
    case 'login_required':
    case 'client_invalid':
    case 'config_error':
    case 'disabled':
      return { code: 2, message: `${connection.state}: ${cause}`, nextStep };
    case 'degraded':
    case 'uncertain':
      if (secret?.code === 2) return secret;
      return isUsable
        ? { code: 1, message: `${connection.state}: ${cause}; the present token still works`, nextStep }
        : { code: 75, message: `${connection.state}: ${cause}; no valid token at the moment`, nextStep };
    case 'ok':
      return findingForHealthy(connection, secret, now, warnWithinMs);
  }
}

/** A login without refresh token needs its client no more. */
function secretOf(
  connection: Connection,
  expiresAt: number | null,
  now: number,
  warnWithinMs: number,
): Finding | undefined {
  if (expiresAt === null || !connection.hasRefreshToken) return undefined;
  const found = clientSecretFinding(expiresAt, now, warnWithinMs);
  return found && { ...found, nextStep: enteringCommand(connection) };
}

/** What was entered by hand ends when its vendor says, if anybody knows. */
function findingForEntered(connection: Connection, now: number, warnWithinMs: number): Finding {
  const { accessExpiresAt } = connection;
  const nextStep = enteringCommand(connection);
  if (accessExpiresAt === null) return { code: 0, message: 'ok', nextStep: null };
  if (accessExpiresAt <= now) return { code: 2, message: 'the credential has ended', nextStep };
  if (accessExpiresAt - now > warnWithinMs) return { code: 0, message: 'ok', nextStep: null };
  return { code: 1, message: `the credential ends ${inDays(accessExpiresAt - now)}`, nextStep };
}

function findingForHealthy(
  connection: Connection,
  secret: Finding | undefined,
  now: number,
  warnWithinMs: number,
): Finding {
  const nextStep = enteringCommand(connection);
  const { accessExpiresAt } = connection;
  const isOnItsOwn = !isRenewable(connection);
  if (isStatic(connection.kind)) return findingForEntered(connection, now, warnWithinMs);
  const soon = (message: string): Finding => ({ code: 1, message, nextStep });
  if (isOnItsOwn && accessExpiresAt !== null && accessExpiresAt <= now) {
    return { code: 2, message: 'the token has expired and cannot be refreshed', nextStep };
  }
  if (secret) return secret;
  if (isOnItsOwn && accessExpiresAt === null)
    return soon('no refresh token, and nobody knows when the login ends');
  if (isOnItsOwn && accessExpiresAt !== null && accessExpiresAt - now <= warnWithinMs) {
    return soon(`no refresh token: the login ends ${inDays(accessExpiresAt - now)}`);
  }
  return { code: 0, message: 'ok', nextStep: null };
}

function inDays(ms: number): string {
  if (ms >= 2 * DAY_MS) return `in ${Math.floor(ms / DAY_MS)} days`;
  if (ms >= 2 * HOUR_MS) return `in ${Math.floor(ms / HOUR_MS)} hours`;
  return `in ${Math.max(1, Math.floor(ms / 60_000))} min`;
}
