/** Agents and the digests of their keys. A key itself is shown once, when it is made, and never stored. */
import { hash } from 'node:crypto';
import type { Agent, AgentPolicy, KeyAge } from '../core/access-policy.ts';
import type { Secret } from '../secret.ts';
import { first, query, type Steps } from './database.ts';

interface AgentRow {
  name: string;
  key_digest: string;
  key_prefix: string;
  previous_key_prefix: string | null;
  previous_key_ends_at: number | null;
  previous_key_used_at: number | null;
  policy: string;
  expires_at: number | null;
  revoked_at: number | null;
  created_at: number;
  last_used_at: number | null;
}

/** Who came, and with which key. */
export interface KeyHolder {
  agent: Agent;
  keyAge: KeyAge;
}

/** A new key as it is stored. */
export interface StoredKey {
  digest: string;
  prefix: string;
}

/**
 * Keys are long and random, so one SHA-256 is enough: there is no dictionary to try. Looking them up by digest
 * means that no secret is compared byte by byte.
 */
export function keyDigest(key: Secret): string {
  return hash('sha256', key.reveal(), 'base64url');
}

/** The agent whose present or previous key has this digest; keys that have ended, and revoked agents, too. */
export function* findAgentByKey(digest: string): Steps<KeyHolder | undefined> {
  const row = yield* first<AgentRow>(
    'SELECT * FROM agents WHERE key_digest = ? OR previous_key_digest = ?',
    ...[digest, digest],
  );
  return row && { agent: toAgent(row), keyAge: row.key_digest === digest ? 'current' : 'previous' };
}

/** The agent of this name. */
export function* findAgent(name: string): Steps<Agent | undefined> {
  const row = yield* first<AgentRow>('SELECT * FROM agents WHERE name = ?', name);
  return row && toAgent(row);
}

/** All agents by name, revoked ones too. */
export function* listAgents(): Steps<Agent[]> {
  const rows = yield* query<AgentRow>('SELECT * FROM agents ORDER BY name');
  return rows.map(toAgent);
}

/** Inserts the agent, also in place of a revoked one of that name. False when the name is taken. */
export function* insertAgent(agent: Agent, digest: string): Steps<boolean> {
  const row = yield* first(
    `INSERT INTO agents (name, key_digest, key_prefix, policy, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET key_digest = excluded.key_digest, key_prefix = excluded.key_prefix,
       previous_key_digest = NULL, previous_key_prefix = NULL, previous_key_ends_at = NULL,
       previous_key_used_at = NULL, policy = excluded.policy, expires_at = excluded.expires_at,
       created_at = excluded.created_at, revoked_at = NULL, last_used_at = NULL
     WHERE agents.revoked_at IS NOT NULL
     RETURNING name`,
    ...[agent.name, digest, agent.keyPrefix, JSON.stringify(agent.policy), agent.expiresAt, agent.createdAt],
  );
  return row !== undefined;
}

/** Stores other rights for an agent that is there. */
export function* updateRights(
  name: string,
  { policy, expiresAt }: Pick<Agent, 'policy' | 'expiresAt'>,
): Steps<void> {
  yield* query(
    'UPDATE agents SET policy = ?, expires_at = ? WHERE name = ?',
    ...[JSON.stringify(policy), expiresAt, name],
  );
}

/** Puts a new key in the place of the present one, which becomes the previous one; what was that before is gone. */
export function* replaceKey(name: string, key: StoredKey, previousEndsAt: number): Steps<void> {
  yield* query(
    `UPDATE agents SET previous_key_digest = key_digest, previous_key_prefix = key_prefix,
       previous_key_ends_at = ?, previous_key_used_at = NULL, key_digest = ?, key_prefix = ? WHERE name = ?`,
    ...[previousEndsAt, key.digest, key.prefix, name],
  );
}

/** False when there is no such agent. */
export function* revokeAgent(name: string, now: number): Steps<boolean> {
  const row = yield* first(
    'UPDATE agents SET revoked_at = COALESCE(revoked_at, ?) WHERE name = ? RETURNING name',
    now,
    name,
  );
  return row !== undefined;
}

/** Remembers when the agent last got something. */
export function* markAgentUsed(name: string, now: number): Steps<void> {
  yield* query('UPDATE agents SET last_used_at = ? WHERE name = ?', now, name);
}

/** Remembers when somebody last came with this key, if it still is the previous one. */
export function* markPreviousKeyUsed(digest: string, now: number): Steps<void> {
  yield* query('UPDATE agents SET previous_key_used_at = ? WHERE previous_key_digest = ?', now, digest);
}

function toAgent(row: AgentRow): Agent {
  const { previous_key_prefix: prefix, previous_key_ends_at: endsAt } = row;
  return {
    name: row.name,
    policy: JSON.parse(row.policy) as AgentPolicy,
    keyPrefix: row.key_prefix,
    previousKey:
      prefix === null || endsAt === null ? null : { prefix, endsAt, lastUsedAt: row.previous_key_used_at },
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  };
}
