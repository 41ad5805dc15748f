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
import { BrokerError, printable } from '../errors.ts';
import type { AuthenticationFailure } from '../metrics.ts';
import { currentRequest } from '../request-context.ts';
import type { Secret } from '../secret.ts';
import { findAgentByKey, keyDigest, markPreviousKeyUsed } from '../vault/agents.ts';
import type { AuditRecord } from '../vault/audit.ts';
import type { Vault } from '../vault/index.ts';
import { createAddressTally, createThrottle } from './address-refusals.ts';
import type { Caller, Context } from './context.ts';

const A_MINUTE_MS = 60_000;

type Parts = Pick<Context, 'vault' | 'clock' | 'log' | 'memory' | 'metrics'>;

/** An agent as an OAuth client knows itself. */
export interface ClientCredentials {
  /** The agent's name. */
  clientId: string;
  /** The agent's key. */
  clientSecret: Secret;
}

/** Why somebody is refused before there was a key to look for: there was none, or something else stood there. */
export type NoKey = 'missing' | 'malformed';

export interface Entrance {
  /**
   * The agent of a key, one request counted: once for each request.
   *
   * Throws `unauthenticated` for a key that is unknown, revoked, expired or replaced: all alike; `rate_limited`, which
   * for these is told instead once too many from their address were refused.
   *
   * @param address where it comes from, see `core/address.ts`. Undefined: from this process
   */
  authenticate(key: Secret, address?: string): Promise<Agent>;
  /** The same for an agent that also says its name, and is refused as well when it is another's. */
  authenticateClient(client: ClientCredentials, address?: string): Promise<Caller>;
  /** Counts a refusal without a key. Throws `rate_limited` for malformed ones past the limit. */
  refuse(reason: NoKey, address: string): Promise<void>;
  /** Writes down what was counted. */
  close(): Promise<void>;
}

/**
 * The entrance of one process.
 *
 * @param authFailures refusals an address may have. Null: as many as it likes
 */
export function createEntrance(parts: Parts, authFailures: RateLimit | null): Entrance {
  const { vault, clock, memory, metrics } = parts;
  const buckets = new Map<string, Bucket>();
  const noteRefusal = createRefusalNotes(vault, clock);
  const throttle = createThrottle(clock, authFailures);
  const tally = createAddressTally(parts);

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

  /** @param record what is told of somebody whose key is known; of others only how many there were */
  async function refused(
    reason: AuthenticationFailure,
    address: string | undefined,
    record?: AuditRecord,
  ): Promise<void> {
    let tooMany: unknown;
    try {
      // Nobody guesses without a key, and many clients ask once without to learn that one is wanted.
      if (address !== undefined && reason !== 'missing') throttle(address);
    } catch (error) {
      tooMany = error;
    }
    metrics.authenticationFailed(tooMany === undefined ? reason : 'throttled');
    const from = address === undefined ? {} : { address };
    if (record) await noteRefusal({ ...record, detail: { ...record.detail, ...from } });
    else if (address !== undefined) await tally.count(address);
    if (tooMany !== undefined) throw tooMany;
  }

  async function authenticate(key: Secret, address?: string): Promise<Agent> {
    const digest = keyDigest(key);
    memory.catchUp();
    const holder = await memory.recall(`key ${digest}`, () => vault.run(() => findAgentByKey(digest)));
    if (!holder) {
      await refused('unknown', address);
      throw unauthenticated();
    }
    const { agent, keyAge } = holder;
    const actor = `agent:${agent.name}`;
    const refusal = keyRefusal(agent, keyAge, clock.now());
    if (refusal !== undefined) {
      await refused(refusal, address, { actor, action: 'authenticate', outcome: refusal });
      throw unauthenticated();
    }
    await requireRoom(agent);
    if (keyAge === 'previous') await notePreviousKey(parts, agent, digest);
    const request = currentRequest();
    if (request) request.agent = agent.name;
    return agent;
  }

  return {
    authenticate,
    async authenticateClient({ clientId, clientSecret }, address) {
      const agent = await authenticate(clientSecret, address);
      if (agent.name === clientId) return { kind: 'agent', agent };
      await refused('wrong_name', address, {
        ...{ actor: `agent:${agent.name}`, action: 'authenticate', outcome: 'unauthenticated' },
        detail: { client_id: printable(clientId) },
      });
      throw unauthenticated();
    },
    refuse: (reason, address) => refused(reason, address),
    close: tally.close,
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
