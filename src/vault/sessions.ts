/**
 * Who opened which session of an MCP server. To the server all agents of a connection are one login, so it cannot keep
 * them apart: a session's id, once known, would let any of them read along. Ids are kept as digests.
 */
import { hash } from 'node:crypto';
import { first, query, type Steps } from './database.ts';

export interface SessionKey {
  connection: string;
  /** `Mcp-Session-Id` as the server gave it. */
  sessionId: string;
}

/** Sessions nobody used for so long are forgotten when another is opened. */
const KEPT_MS = 30 * 86_400_000;

/** Name of the agent that opened the session, which is used now. Undefined: nobody did, or it was forgotten. */
export function* useSession({ connection, sessionId }: SessionKey, now: number): Steps<string | undefined> {
  const row = yield* first<{ agent: string }>(
    'UPDATE sessions SET last_used_at = ? WHERE connection = ? AND id_digest = ? RETURNING agent',
    ...[now, connection, digest(sessionId)],
  );
  return row?.agent;
}

/** Remembers who opened the session. False when another agent did. */
export function* saveSession(
  { connection, sessionId }: SessionKey,
  agent: string,
  now: number,
): Steps<boolean> {
  yield* query('DELETE FROM sessions WHERE last_used_at < ?', now - KEPT_MS);
  const row = yield* first(
    `INSERT INTO sessions (connection, id_digest, agent, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (connection, id_digest) DO UPDATE SET last_used_at = excluded.last_used_at
     WHERE sessions.agent = excluded.agent RETURNING agent`,
    ...[connection, digest(sessionId), agent, now, now],
  );
  return row !== undefined;
}

/** Forgets one session. */
export function* deleteSession({ connection, sessionId }: SessionKey): Steps<void> {
  yield* query(
    'DELETE FROM sessions WHERE connection = ? AND id_digest = ?',
    ...[connection, digest(sessionId)],
  );
}

/** Forgets all sessions of a connection, or of an agent. */
export function* deleteSessions(of: { connection: string } | { agent: string }): Steps<void> {
  if ('connection' in of) yield* query('DELETE FROM sessions WHERE connection = ?', of.connection);
  else yield* query('DELETE FROM sessions WHERE agent = ?', of.agent);
}

function digest(sessionId: string): string {
  return hash('sha256', sessionId, 'base64url');
}
