/**
 * Who comes with a key, and whether it comes too often. The one entrance of all agents, whatever the door, so that a
 * limit counts for all doors together.
 *
 * Limits are counted in memory: each process that answers agents counts for itself, and from zero when it starts. A
 * refusal is on disk before the answer, but only once a minute for each agent and reason; the next row tells how
 * many there were besides. Otherwise it would be the refused who keep the disk busy.
 */
import type { Clock } from '../clock.ts';
import { type Agent, keyRefusal } from '../core/access-policy.ts';
import { type Bucket, formatRate, type RateLimit, takeRequest } from '../core/rate-limit.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { findAgentByKey, keyDigest, markPreviousKeyUsed } from '../vault/agents.ts';
import type { AuditRecord } from '../vault/audit.ts';
import type { Vault } from '../vault/index.ts';
import type { Context } from './context.ts';

const A_MINUTE_MS = 60_000;

type Parts = Pick<Context, 'vault' | 'clock' | 'log' | 'memory'>;

/**
 * The agent of a key, one request counted.
 *
 * Throws `unauthenticated` for a key that is unknown, revoked, expired or replaced: all alike; `rate_limited`.
 */
export type Authenticate = (key: Secret) => Promise<Agent>;

/** The entrance of one process. */
export function createAuthenticate(parts: Parts): Authenticate {
  const { vault, clock, memory } = parts;
  const buckets = new Map<string, Bucket>();
  const noteRefusal = createRefusalNotes(vault, clock);

  async function requireRoom({ name, policy: { rate } }: Agent): Promise<void> {
    if (rate === null) return;
    const { bucket, waitMs } = takeRequest(buckets.get(name), rate, clock.now());
    buckets.set(name, bucket);
    if (waitMs === 0) return;
    const actor = `agent:${name}`;
    await noteRefusal({
      actor,
      action: 'request',
      outcome: 'rate_limited',
      detail: { rate: formatRate(rate) },
    });
    throw tooOften(name, rate, Math.ceil(waitMs / 1000));
  }

  return async (key) => {
    const digest = keyDigest(key);
    memory.catchUp();
    const holder = await memory.recall(`key ${digest}`, () => vault.run(() => findAgentByKey(digest)));
    if (!holder) throw unauthenticated();
    const { agent, keyAge } = holder;
    const refusal = keyRefusal(agent, keyAge, clock.now());
    if (refusal !== undefined) {
      await noteRefusal({ actor: `agent:${agent.name}`, action: 'authenticate', outcome: refusal });
      throw unauthenticated();
    }
    await requireRoom(agent);
    if (keyAge === 'previous') await notePreviousKey(parts, agent, digest);
    return agent;
  };
}

/** Refusals of one kind are written down once a minute, the first at once. */
function createRefusalNotes(vault: Vault, clock: Clock): (record: AuditRecord) => Promise<void> {
  const latest = new Map<string, { at: number; unwritten: number }>();
  return async ({ detail = {}, ...record }) => {
    const kind = `${record.actor} ${record.outcome}`;
    const before = latest.get(kind);
    const now = clock.now();
    if (before && isWithinAMinute(before.at, now)) {
      before.unwritten += 1;
      return;
    }
    latest.set(kind, { at: now, unwritten: 0 });
    const besides = before && before.unwritten > 0 ? { unwritten_before: before.unwritten } : {};
    try {
      await vault.transaction(() => vault.audit.append({ ...record, detail: { ...detail, ...besides } }));
    } catch (error) {
      latest.delete(kind);
      throw error;
    }
  };
}

/** So that an operator sees who still has the old key. That it cannot be written is no reason to refuse anybody. */
async function notePreviousKey({ vault, clock, log }: Parts, agent: Agent, digest: string): Promise<void> {
  const now = clock.now();
  const lastUsedAt = agent.previousKey?.lastUsedAt ?? null;
  if (lastUsedAt !== null && isWithinAMinute(lastUsedAt, now)) return;
  try {
    await vault.run(() => markPreviousKeyUsed(digest, now));
  } catch (error) {
    log.warn({ err: error, agent: agent.name }, 'the use of an old agent key could not be noted');
  }
}

/** Also when the clock was set back. */
function isWithinAMinute(before: number, now: number): boolean {
  return Math.abs(now - before) < A_MINUTE_MS;
}

/** The one refusal of keys, whatever is wrong with them. */
export function unauthenticated(): BrokerError {
  return new BrokerError('unauthenticated', 'the agent key is not valid', {
    hint: 'an operator gives out keys: broker agent rotate <name>, or broker agent add <name> --allow <connection>',
  });
}

function tooOften(name: string, rate: RateLimit, retryAfterSeconds: number): BrokerError {
  return new BrokerError('rate_limited', `the agent ${name} asks more often than ${formatRate(rate)}`, {
    hint: `wait ${retryAfterSeconds} s; an operator can change the limit: broker agent set ${name} --rate <rate>`,
    retryAfterSeconds,
  });
}
