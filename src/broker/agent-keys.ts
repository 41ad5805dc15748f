/** Agent keys: making them, and putting a new one in the place of an old one. */
import { randomBytes } from 'node:crypto';
import { isLive, overlappingKey } from '../core/access-policy.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { keyDigest, replaceKey, type StoredKey } from '../vault/agents.ts';
import { type AgentView, viewAgent } from './agent-view.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { requireAgent, requireUnrevoked } from './find-agent.ts';

/** Starts every agent key, so that secret scanners and people know one when they see it. */
const KEY_PREFIX = 'mtb_';
const SHOWN_PREFIX_LENGTH = 10;

const DAY_MS = 86_400_000;

/** How long the old key works beside the new one, unless said otherwise: time to change it everywhere. */
const DEFAULT_OVERLAP_MS = DAY_MS;

/** A key that works longer than this was not replaced. */
const LONGEST_OVERLAP_MS = 30 * DAY_MS;

/** An agent with its new key, which is shown this once. */
export interface RotatedKey {
  agent: AgentView;
  key: Secret;
  /** Prefix of a key from an earlier rotation that has ended now, before its time. Undefined: there was none. */
  endedKeyPrefix: string | undefined;
}

/** A key, and what is stored of it. */
export function newKey(): StoredKey & { key: Secret } {
  const text = `${KEY_PREFIX}${randomBytes(32).toString('base64url')}`;
  const key = new Secret(text);
  return { key, digest: keyDigest(key), prefix: text.slice(0, SHOWN_PREFIX_LENGTH) };
}

/**
 * Gives the agent a new key. The present one works until the overlap is over; one that was replaced before ends now.
 *
 * Throws `not_found`, and `usage` for an overlap that cannot be and an agent that is revoked or expired.
 *
 * @param overlapMs 0: the present key ends at once
 */
export async function rotateKey(
  { vault, clock }: Context,
  name: string,
  overlapMs = DEFAULT_OVERLAP_MS,
): Promise<RotatedKey> {
  requireOverlap(overlapMs);
  const now = clock.now();
  const { key, ...stored } = newKey();
  return vault.transaction(function* () {
    const before = yield* requireUnrevoked(name);
    if (!isLive(before, now)) throw expired(name);
    yield* replaceKey(name, stored, now + overlapMs);
    yield* vault.audit.append({
      actor: actorOf(OPERATOR),
      action: 'agent.rotate',
      outcome: 'ok',
      detail: {
        ...{ agent: name, key_prefix: stored.prefix },
        ...{ previous_key_prefix: before.keyPrefix, previous_key_ends_at: timestamp(now + overlapMs) },
      },
    });
    const agent = viewAgent(yield* requireAgent(name), now);
    return { agent, key, endedKeyPrefix: overlappingKey(before, now)?.prefix };
  });
}

function requireOverlap(overlapMs: number): void {
  if (overlapMs >= 0 && overlapMs <= LONGEST_OVERLAP_MS) return;
  throw new BrokerError('usage', 'the old key would work longer than 30 days', {
    hint: 'give --overlap at most 30d, such as 24h; 0 ends the old key at once',
  });
}

function expired(name: string): BrokerError {
  return new BrokerError('usage', `the agent ${name} has expired, and a new key would open nothing`, {
    hint: `let it live longer first: broker agent set ${name} --expires 90d`,
  });
}
