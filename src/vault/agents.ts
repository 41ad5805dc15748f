/** Agents and the digests of their keys. The key itself is shown once, when it is made, and never stored. */
import { hash } from 'node:crypto';
import type { Agent, AgentPolicy } from '../core/access-policy.ts';
import type { Secret } from '../secret.ts';
import { first, query, type Steps } from './database.ts';

interface AgentRow {
  name: string;
  key_prefix: string;
  policy: string;
  expires_at: number | null;
  revoked_at: number | null;
  created_at: number;
  last_used_at: number | null;
}

/**
 * Keys are long and random, so one SHA-256 is enough: there is no dictionary to try. Looking them up by digest
 * means that no secret is compared byte by byte.
 */
export function keyDigest(key: Secret): string {
  return hash('sha256', key.reveal(), 'base64url');
}

/** The agent of this key digest, revoked and expired ones too. */
export function* findAgentByKey(digest: string): Steps<Agent | undefined> {
  const row = yield* first<AgentRow>('SELECT * FROM agents WHERE key_digest = ?', digest);
  return row && toAgent(row);
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
       policy = excluded.policy, expires_at = excluded.expires_at, created_at = excluded.created_at,
       revoked_at = NULL, last_used_at = NULL
     WHERE agents.revoked_at IS NOT NULL
     RETURNING name`,
    ...[agent.name, digest, agent.keyPrefix, JSON.stringify(agent.policy), agent.expiresAt, agent.createdAt],
  );
  return row !== undefined;
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

function toAgent(row: AgentRow): Agent {
  return {
    name: row.name,
    policy: JSON.parse(row.policy) as AgentPolicy,
    keyPrefix: row.key_prefix,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  };
}
