/** What a notice says: one line for people, with the command that mends it, and nothing a server could have worded. */
import type { Finding } from './check-policy.ts';
import type { Connection } from './connection.ts';
import { duration } from './duration.ts';
import { isBroken, type NoticeKind, type Situation } from './notice-policy.ts';

type Told = Pick<Connection, 'name' | 'state' | 'code'>;

/** Event type of webhooks: `connection.` and the state, or what happened to a connection in state `ok`. */
export function noticeType(kind: NoticeKind, { level, state }: Situation): string {
  if (kind === 'recovery') return 'connection.recovered';
  if (state !== 'ok') return `connection.${state}`;
  return level === 2 ? 'connection.ended' : 'connection.ending';
}

/**
 * The line.
 *
 * @param before what was told last. Undefined: nothing yet
 * @param lastedMs for how long people have been told of something
 */
export function noticeText(
  kind: NoticeKind,
  connection: Told,
  finding: Finding,
  before: Situation | undefined,
  lastedMs: number,
): string {
  const { name } = connection;
  const next = finding.nextStep === null ? '' : `. ${remedy(finding.nextStep, finding.code)}`;
  if (kind === 'recovery') {
    const rest = finding.code === 0 ? '' : `; ${finding.message}${next}`;
    return `${name} ${recovered(before, lastedMs)}${rest}`;
  }
  const text = `${name} ${problem(connection, finding)}${next}`;
  return kind === 'reminder' ? `reminder: ${text}` : text;
}

function recovered(before: Situation | undefined, lastedMs: number): string {
  if (before === undefined || !isBroken(before)) return 'is fine again';
  return `works again (was ${before.level === 1 ? 'in trouble' : 'down'} for ${duration(lastedMs)})`;
}

function problem({ state, code }: Told, finding: Finding): string {
  const why = code === null ? '' : ` (${code})`;
  switch (state) {
    case 'login_required':
      return `needs you: ${END_WORDS[code ?? ''] ?? 'the login has ended'}${why}`;
    case 'client_invalid':
      return `needs you: the server does not accept our client any more${why}`;
    case 'config_error':
      return `needs you: the server refuses what we ask for${why}`;
    case 'disabled':
      return 'is disabled';
    case 'degraded':
    case 'uncertain':
      // Besides the failing refresh something has ended that only a person can renew.
      if (finding.code === 2) return `needs you: ${finding.message}`;
      return finding.code === 75
        ? `is down: refreshing fails${why}, and no token is valid at the moment`
        : `is in trouble: refreshing fails${why}; the present token still works`;
    case 'ok':
      return finding.code === 2 ? `needs you: ${finding.message}` : `needs you soon: ${finding.message}`;
  }
}

const END_WORDS: Record<string, string> = {
  invalid_grant: 'the server ended the login',
  no_refresh_token: 'the token has ended and there is no refresh token',
};

function remedy(command: string, level: number): string {
  if (command.startsWith('broker login ')) return `Sign in again: ${command}`;
  if (!command.startsWith('broker refresh ')) return `Enter it again: ${command}`;
  return level === 2 ? `When that is mended: ${command}` : `It is tried again by itself; now: ${command}`;
}
