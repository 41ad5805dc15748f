/** What `broker check` thinks of a connection: fine, needs attention soon, needs somebody now. */
import { type Connection, enteringCommand, fixingCommand, isRenewable } from './connection.ts';
import { isStatic } from './credential-kind.ts';
import { isAlive } from './refresh-policy.ts';
import { keepAliveOverdueAt } from './schedule.ts';

/** How bad what was found is: fine, soon, somebody must act, provider down. */
export type FindingCode = 0 | 1 | 2 | 75;

/** Exit codes of a check; it ends with the worst of them. 3: neither vault nor daemon could be asked. */
export type CheckCode = FindingCode | 3;

export interface Finding {
  code: FindingCode;
  /** One line for people. */
  message: string;
  /** The command that mends it. Null: nothing to do. */
  nextStep: string | null;
  /** The end it warns of or tells, epoch ms. Absent: it is about something else, or nobody knows when. */
  endsAt?: number;
}

/** 3 (nobody could look) is worse than 2 (somebody must act), than 75 (provider down), than 1 (soon). */
const BY_WEIGHT: CheckCode[] = [0, 1, 75, 2, 3];

/** Whether the first is worse than the second. */
export function isWorse(code: CheckCode, than: CheckCode): boolean {
  return BY_WEIGHT.indexOf(code) > BY_WEIGHT.indexOf(than);
}

/** The worst of several; 0 for none. */
export function worstOf(codes: CheckCode[]): CheckCode {
  return codes.reduce((worst, code) => (isWorse(code, worst) ? code : worst), 0);
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
 * @param idleLimitMs how long the server keeps a refresh token nobody uses; null: unknown
 */
export function findingFor(
  connection: Connection,
  clientSecretExpiresAt: number | null,
  now: number,
  warnWithinMs: number,
  idleLimitMs: number | null = null,
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
      return (
        findingForHealthy(connection, secret, now, warnWithinMs) ??
        findingForRefreshToken(connection, now, warnWithinMs, idleLimitMs) ??
        FINE
      );
  }
}

const FINE: Finding = { code: 0, message: 'ok', nextStep: null };

/** A login without refresh token needs its client no more. */
function secretOf(
  connection: Connection,
  expiresAt: number | null,
  now: number,
  warnWithinMs: number,
): Finding | undefined {
  if (expiresAt === null || !connection.hasRefreshToken) return undefined;
  const found = clientSecretFinding(expiresAt, now, warnWithinMs);
  return found && { ...found, nextStep: enteringCommand(connection), endsAt: expiresAt };
}

/** What was entered by hand ends when its vendor says, if anybody knows. */
function findingForEntered(connection: Connection, now: number, warnWithinMs: number): Finding {
  const { accessExpiresAt } = connection;
  const nextStep = enteringCommand(connection);
  if (accessExpiresAt === null) return FINE;
  const about = { nextStep, endsAt: accessExpiresAt };
  if (accessExpiresAt <= now) return { code: 2, message: 'the credential has ended', ...about };
  if (accessExpiresAt - now > warnWithinMs) return FINE;
  return { code: 1, message: `the credential ends ${inDays(accessExpiresAt - now)}`, ...about };
}

/** Share of its life, at the end of which a refresh token is told that refreshing should have prolonged by then. */
const UNPROLONGED_SHARE = 1 / 4;

/** A refresh token with a known end, or one that lies unused too long. Undefined: nothing to say of it. */
function findingForRefreshToken(
  connection: Connection,
  now: number,
  warnWithinMs: number,
  idleLimitMs: number | null,
): Finding | undefined {
  const {
    hasRefreshToken,
    refreshExpiresAt: endsAt,
    receivedAt,
    isRefreshProlonged: isProlonged,
  } = connection;
  if (!hasRefreshToken) return undefined;
  const refresh = `broker refresh ${connection.name}`;
  if (endsAt !== null && endsAt <= now) {
    const nextStep = enteringCommand(connection);
    const message = 'the refresh token has ended';
    if (!isAlive(connection, now)) return { code: 2, message, nextStep, endsAt };
    return { code: 1, message: `${message}: the login ends with its access token`, nextStep, endsAt };
  }
  // Each refresh gives it its whole life again: only one that was left out is worth a word.
  const withinMs = isProlonged ? ((endsAt ?? 0) - receivedAt) * UNPROLONGED_SHARE : warnWithinMs;
  if (endsAt !== null && endsAt - now <= withinMs) {
    const message = `the refresh token ends ${inDays(endsAt - now)}`;
    if (isProlonged)
      return { code: 1, message: `${message} unless it is used before`, nextStep: refresh, endsAt };
    const nextStep = enteringCommand(connection);
    return { code: 1, message: `${message}: sign in again before`, nextStep, endsAt };
  }
  if (idleLimitMs === null || now < keepAliveOverdueAt(connection, idleLimitMs)) return undefined;
  const forgottenAt = receivedAt + idleLimitMs;
  const left = forgottenAt - now;
  const message =
    left > 0
      ? `the refresh token is not being used: its server forgets it ${inDays(left)}`
      : 'the refresh token was unused for longer than its server keeps one';
  return { code: 1, message, nextStep: refresh, endsAt: forgottenAt };
}

function findingForHealthy(
  connection: Connection,
  secret: Finding | undefined,
  now: number,
  warnWithinMs: number,
): Finding | undefined {
  const nextStep = enteringCommand(connection);
  const { accessExpiresAt } = connection;
  const isOnItsOwn = !isRenewable(connection);
  if (isStatic(connection.kind)) return findingForEntered(connection, now, warnWithinMs);
  const endsAt = isOnItsOwn ? accessExpiresAt : null;
  if (endsAt !== null && endsAt <= now) {
    return { code: 2, message: 'the token has expired and cannot be refreshed', nextStep, endsAt };
  }
  if (secret) return secret;
  if (isOnItsOwn && endsAt === null)
    return { code: 1, message: 'no refresh token, and nobody knows when the login ends', nextStep };
  if (endsAt !== null && endsAt - now <= warnWithinMs) {
    return { code: 1, message: `no refresh token: the login ends ${inDays(endsAt - now)}`, nextStep, endsAt };
  }
  return undefined;
}

function inDays(ms: number): string {
  if (ms >= 2 * DAY_MS) return `in ${Math.floor(ms / DAY_MS)} days`;
  if (ms >= 2 * HOUR_MS) return `in ${Math.floor(ms / HOUR_MS)} hours`;
  return `in ${Math.max(1, Math.floor(ms / 60_000))} min`;
}
