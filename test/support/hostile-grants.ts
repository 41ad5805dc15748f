/**
 * The grants of a server that forgives nothing.
 *
 * A refresh token is good for one use. Showing a used one is taken for theft: the whole family dies, access tokens
 * included. With a grace window the predecessor is accepted once more, as long as its successor was never shown;
 * the successor nobody received then dies instead. All of it happens in one synchronous step, so two requests can
 * never both win.
 */
import { randomBytes } from 'node:crypto';
import { fingerprint } from '../../src/secret.ts';

/** What became of a refresh token that somebody showed. */
export type PresentationOutcome =
  /** Used up, and a successor was issued. */
  | 'rotated'
  /** Accepted by a server that does not rotate. */
  | 'kept'
  /** A used one, accepted once more inside the grace window. */
  | 'grace'
  /** A used one: its family was revoked, if it was not already. */
  | 'reused'
  /** Never issued, or of a family revoked before. */
  | 'unknown'
  /** Not accepted, and not used up either: wrong client or resource. */
  | 'refused'
  /** A fault answered before the server looked at it. */
  | 'unseen';

/** Status and JSON body of an answer of the token endpoint. */
export interface TokenEndpointAnswer {
  status: number;
  body: Record<string, unknown>;
}

export interface GrantOptions {
  /** Rules every expiry and the grace window. */
  clock: { now(): number };
  /** Lifetime of access tokens. */
  accessTokenSeconds: number;
  /** How long after its use a refresh token is accepted once more. 0: not at all. */
  graceMs: number;
  /** Whether a refresh uses the refresh token up. */
  rotate: boolean;
}

/** What a person granted to whom. */
export interface Grant {
  clientId: string;
  resource: string;
  scope: string;
}

export interface GrantStore {
  /** A new family for a login that was just redeemed. */
  begin(grant: Grant): TokenEndpointAnswer;
  /** One refresh, all or nothing. */
  refresh(
    token: string,
    clientId: string,
    resource: string | null,
  ): TokenEndpointAnswer & { outcome: PresentationOutcome };
  /** RFC 7009: the whole family of the token. An unknown token is no error. */
  revoke(token: string): void;
  /** Whether the refresh token with this fingerprint would be accepted now. */
  isAlive(refreshTokenFingerprint: string): boolean;
  /** The resource an access token opens now. Undefined: none. */
  resourceOf(accessToken: string): string | undefined;
  /** The family that began last. Generation 1 is the login's own pair. */
  family(): { revoked: boolean; generation: number };
}

interface Family extends Grant {
  isRevoked: boolean;
  generation: number;
}

interface RefreshToken {
  family: Family;
  generation: number;
  /** Null: not yet. */
  usedAt: number | null;
  hadGrace: boolean;
  /** The successor another one has taken the place of. */
  isReplaced: boolean;
}

const refused = (error: string, outcome: PresentationOutcome, status = 400) => ({
  status,
  body: { error },
  outcome,
});

/** An empty store. */
export function createGrantStore({ clock, accessTokenSeconds, graceMs, rotate }: GrantOptions): GrantStore {
  const refreshTokens = new Map<string, RefreshToken>();
  const accessTokens = new Map<string, { family: Family; expiresAt: number }>();
  let latest: Family | undefined;

  function issue(family: Family, refreshToken = newRefreshToken(family)): TokenEndpointAnswer {
    const accessToken = `at-${randomBytes(16).toString('base64url')}`;
    accessTokens.set(accessToken, { family, expiresAt: clock.now() + accessTokenSeconds * 1000 });
    return {
      status: 200,
      body: {
        access_token: accessToken,
        token_type: 'Bearer',
        expires_in: accessTokenSeconds,
        refresh_token: refreshToken,
        scope: family.scope,
      },
    };
  }

  function newRefreshToken(family: Family): string {
    const value = `rt-${randomBytes(16).toString('base64url')}`;
    const { generation } = family;
    refreshTokens.set(fingerprint(value), {
      family,
      generation,
      usedAt: null,
      hadGrace: false,
      isReplaced: false,
    });
    return value;
  }

  const successorOf = (token: RefreshToken) =>
    [...refreshTokens.values()].find(
      ({ family, generation, isReplaced }) =>
        family === token.family && generation === token.generation + 1 && !isReplaced,
    );

  function isInGrace(token: RefreshToken): boolean {
    const { usedAt, hadGrace, isReplaced } = token;
    return (
      usedAt !== null &&
      !hadGrace &&
      !isReplaced &&
      clock.now() - usedAt < graceMs &&
      successorOf(token)?.usedAt === null
    );
  }

  return {
    begin(grant) {
      latest = { ...grant, isRevoked: false, generation: 1 };
      return issue(latest);
    },
    refresh(value, clientId, resource) {
      const token = refreshTokens.get(fingerprint(value));
      if (!token || token.family.isRevoked) return refused('invalid_grant', 'unknown');
      const { family } = token;
      if (family.clientId !== clientId) return refused('invalid_grant', 'refused');
      if (family.resource !== resource) return refused('invalid_target', 'refused');
      if (!rotate) return { ...issue(family, value), outcome: 'kept' };
      if (token.usedAt === null && !token.isReplaced) {
        token.usedAt = clock.now();
        family.generation += 1;
        return { ...issue(family), outcome: 'rotated' };
      }
      if (isInGrace(token)) {
        token.hadGrace = true;
        const lost = successorOf(token);
        if (lost) lost.isReplaced = true;
        return { ...issue(family), outcome: 'grace' };
      }
      family.isRevoked = true;
      return refused('invalid_grant', 'reused');
    },
    revoke(value) {
      const family = (refreshTokens.get(fingerprint(value)) ?? accessTokens.get(value))?.family;
      if (family) family.isRevoked = true;
    },
    isAlive(print) {
      const token = refreshTokens.get(print);
      if (!token || token.family.isRevoked) return false;
      return (token.usedAt === null && !token.isReplaced) || isInGrace(token);
    },
    resourceOf(value) {
      const token = accessTokens.get(value);
      return token && !token.family.isRevoked && token.expiresAt > clock.now()
        ? token.family.resource
        : undefined;
    },
    family: () => ({ revoked: latest?.isRevoked ?? false, generation: latest?.generation ?? 0 }),
  };
}
