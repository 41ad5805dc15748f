/**
 * Servers that do not speak Streamable HTTP, made to: each session of an agent has the official transport in front and a
 * pipe to the server behind, and messages go both ways. A session ends with what is behind it; then its id is answered
 * 404, as MCP has it, and the agent begins another.
 */
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { Session } from './bridge-session.ts';
import { openSession } from './open-session.ts';
import type { Connect } from './pipe.ts';
import { jsonAnswer, type Upstream, type UpstreamAnswer, type UpstreamRequest } from './upstream.ts';

export interface Bridge {
  upstream: Upstream;
  /** Ends all sessions, and resolves when nothing is left behind them. */
  close(): Promise<void>;
}

/** Sessions of one connection at a time. */
const MOST_SESSIONS = 1_000;

/** Revisions that begin with `initialize`. */
const WITH_SESSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
const UNSUPPORTED_PROTOCOL_VERSION = -32_022;
const BAD_REQUEST = -32_000;
const SESSION_NOT_FOUND = -32_001;

export function createBridge(connect: Connect, { clock }: { clock: Clock }): Bridge {
  const sessions = new Map<string, Session>();
  const keyOf = (connectionId: string, id: string) => `${connectionId} ${id}`;
  const ended = ({ connectionId, id }: Session) => void sessions.delete(keyOf(connectionId, id));

  async function begin(access: UpstreamAccess, request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { connection, connectionId } = access;
    const count = [...sessions.values()].filter((each) => each.connectionId === connectionId).length;
    if (count >= MOST_SESSIONS) throw tooMany(connection, count);
    const session = await openSession({ connect, clock, access, request, onEnd: ended });
    if ('status' in session) return session;
    if (!session.hasEnded()) sessions.set(keyOf(connectionId, session.id), session);
    return (await session.handle(request)) ?? sessionGone();
  }

  return {
    async upstream(access, request) {
      const id = request.headers['mcp-session-id'];
      const session = id === undefined ? undefined : sessions.get(keyOf(access.connectionId, id));
      if (id !== undefined) return (await session?.handle(request)) ?? sessionGone();
      const message = readMessage(request);
      return message?.method === 'initialize' ? begin(access, request) : wantsSession(message, request);
    },
    async close() {
      await Promise.all([...sessions.values()].map((session) => session.end('the daemon is stopping')));
    },
  };
}

/** The message of a body that holds one. */
function readMessage({ body }: UpstreamRequest): { method?: unknown; id?: unknown } | undefined {
  const message: unknown = body && JSON.parse(body.toString('utf8'));
  return typeof message === 'object' && message !== null ? message : undefined;
}

/** Whether this is the first message of a session. */
export function isInitialize(request: UpstreamRequest): boolean {
  const isFirst = request.verb === 'POST' && request.headers['mcp-session-id'] === undefined;
  return isFirst && readMessage(request)?.method === 'initialize';
}

function sessionGone(): UpstreamAnswer {
  return jsonAnswer(
    404,
    rpcError(null, SESSION_NOT_FOUND, 'Session not found: begin another with initialize'),
  );
}

/**
 * Calls without a session. Clients of the revision 2026-07-28 ask in this way what a server speaks; told that it is
 * older, they begin with `initialize` if they can.
 */
function wantsSession(
  message: { method?: unknown; id?: unknown } | undefined,
  { headers }: UpstreamRequest,
): UpstreamAnswer {
  const id = typeof message?.id === 'string' || typeof message?.id === 'number' ? message.id : null;
  const requested = headers['mcp-protocol-version'];
  const isModern = message?.method === 'server/discover' || (requested ?? '') >= '2026-07-28';
  if (!isModern)
    return jsonAnswer(400, rpcError(id, BAD_REQUEST, 'this server needs a session: begin with initialize'));
  const said = 'Unsupported protocol version: this server needs sessions, begin with initialize';
  const data = { supported: WITH_SESSIONS, requested };
  return jsonAnswer(400, rpcError(id, UNSUPPORTED_PROTOCOL_VERSION, said, data));
}

function rpcError(id: string | number | null, code: number, message: string, data?: unknown): unknown {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}

function tooMany(connection: string, count: number): BrokerError {
  return new BrokerError('rate_limited', `${connection} has ${count} sessions, and may not have more`, {
    hint: 'end sessions that are needed no more (DELETE)',
    connection,
    retryAfterSeconds: 60,
  });
}
