/** Credentials entered by hand: what they may be, and the token set they make. */
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { fillTemplate, type HeaderTemplate, requireDistinct } from './headers.ts';
import type { TokenSet } from './token-set.ts';

/** What was entered. */
export type StaticCredential =
  | { kind: 'bearer'; token: Secret }
  | { kind: 'headers'; headers: { header: HeaderTemplate; value: Secret }[] }
  | { kind: 'none' };

/** Ends later than this are mistakes, and dates beyond it cannot be written down (RFC 3339). */
const LAST_END = Date.UTC(9999, 11, 31);

/**
 * The credential as it is kept. Throws `usage` for a secret or header that could not be sent, and for an end that
 * cannot be.
 *
 * @param endsAt epoch ms; undefined: unknown, or never
 */
export function enteredTokens(
  credential: StaticCredential,
  now: number,
  endsAt: number | undefined,
): TokenSet {
  if (endsAt !== undefined) requireEnd(credential, now, endsAt);
  const common = {
    refreshToken: undefined,
    scope: undefined,
    receivedAt: now,
    accessExpiresAt: endsAt,
    accountIdentity: undefined,
  };
  switch (credential.kind) {
    case 'bearer':
      requireToken(credential.token);
      return { ...common, accessToken: credential.token, tokenType: 'Bearer' };
    case 'headers': {
      requireDistinct(credential.headers.map(({ header }) => header.name));
      const headers = credential.headers.map(
        ({ header, value }) => [header.name, new Secret(fillTemplate(header, value.reveal()))] as const,
      );
      return { ...common, accessToken: new Secret(''), tokenType: undefined, headers };
    }
    case 'none':
      return { ...common, accessToken: new Secret(''), tokenType: undefined, headers: [] };
  }
}

function requireToken(token: Secret): void {
  const text = token.reveal();
  const reason =
    text.trim() === '' ? 'is empty' : /\s/.test(text) ? 'holds spaces or line breaks' : undefined;
  if (reason !== undefined) throw unsendable(reason);
  try {
    fillTemplate({ name: 'Authorization', template: 'Bearer {{token}}' }, text);
  } catch {
    throw unsendable('holds characters that no header can carry');
  }
}

function unsendable(reason: string): BrokerError {
  return new BrokerError('usage', `the token ${reason}`, {
    hint: 'the file holds the token and nothing else, without "Bearer" in front',
  });
}

function requireEnd({ kind }: StaticCredential, now: number, endsAt: number): void {
  if (kind === 'none') {
    throw new BrokerError('usage', 'a server that wants no credential has none that could end', {
      hint: 'leave out --expires',
    });
  }
  // Also for what is no number at all.
  if (!(endsAt <= LAST_END)) {
    throw new BrokerError('usage', 'the credential would end too far away to write it down', {
      hint: 'leave out --expires for one that never ends',
    });
  }
  if (endsAt > now) return;
  throw new BrokerError('usage', `the credential has ended already (${new Date(endsAt).toISOString()})`, {
    hint: 'give --expires a time to come, such as 90d or a date, or leave it out',
  });
}
