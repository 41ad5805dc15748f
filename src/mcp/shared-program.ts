/**
 * One process that serves many sessions. It believes to have one client, which is the broker: that begins once, ids and
 * progress tokens are ours, and what the process says to everybody goes to all. What it asks a client is refused, since
 * nobody could tell whose client is meant.
 */
import type { Clock } from '../clock.ts';
import type { RequestId } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import type { JSONRPCMessage, Pipe, PipeEnd } from './pipe.ts';
import type { ProgramProcess } from './program-process.ts';

type Request = Extract<JSONRPCMessage, { id: RequestId; method: string }>;
type Answer = { id: RequestId; result: Record<string, unknown> } | { id: RequestId; error: object };

export interface SharedProgram {
  /** One more session. Throws `upstream_unavailable` when the process does not begin. */
  join(end: PipeEnd): Promise<Pipe>;
  onMessage(message: JSONRPCMessage): void;
  onEnd(why: string): void;
}

interface Awaited {
  member: Member;
  /** As the session's client has it. */
  id: RequestId;
  progressToken: RequestId | undefined;
}

interface Member {
  end: PipeEnd;
  isPaused: boolean;
}

const METHOD_NOT_FOUND = -32_601;
const BEGINNING = 'beginning';
const HELLO = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'mcp-token-broker', version: '1' },
};

/** Programs that fetch what they need when they start take a while; longer, and they will not. */
const BEGIN_MS = 60_000;

export interface Sharing {
  connection: string;
  /** Started a moment ago; ended when the last session is. */
  process: Promise<ProgramProcess>;
  idleEndMs: number;
  clock: Clock;
  /** Nobody may join any more: it is ended. */
  onLeft: () => void;
}

export function shareProgram({ connection, process, idleEndMs, clock, onLeft }: Sharing): SharedProgram {
  const program = `the program of ${connection}`;
  const members = new Set<Member>();
  const awaited = new Map<RequestId, Awaited>();
  const { promise: begun, resolve: hasBegun, reject: hasNotBegun } = Promise.withResolvers<Answer>();
  let lastId = 0;
  const beginning = new AbortController();
  begun.then(
    () => beginning.abort(),
    () => beginning.abort(),
  );
  begin().catch(hasNotBegun);
  clock.wait(BEGIN_MS, beginning.signal).then(
    () =>
      hasNotBegun(
        doesNotBegin(connection, `${program} does not begin a session within ${BEGIN_MS / 1000} s`),
      ),
    () => {},
  );

  async function begin(): Promise<void> {
    const started = await process;
    await started.send({ jsonrpc: '2.0', id: BEGINNING, method: 'initialize', params: HELLO });
    await begun;
    await started.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  /** The request under an id of ours, which its progress goes by too. */
  function ours(member: Member, request: Request): Request {
    lastId += 1;
    const { _meta, ...params } = (request.params ?? {}) as { _meta?: { progressToken?: RequestId } };
    const progressToken = _meta?.progressToken;
    awaited.set(lastId, { member, id: request.id, progressToken });
    if (progressToken === undefined) return { ...request, id: lastId };
    return { ...request, id: lastId, params: { ...params, _meta: { ..._meta, progressToken: lastId } } };
  }

  async function send(member: Member, message: JSONRPCMessage): Promise<void> {
    const started = await process;
    if (!('method' in message)) return;
    if ('id' in message) {
      const request = message as Request;
      if (request.method === 'initialize') member.end.onMessage(answerTo(request.id, await begun));
      else await started.send(ours(member, request));
      return;
    }
    // Others would speak for all clients.
    if (message.method === 'notifications/cancelled')
      await cancel(member, message.params?.requestId, message.params);
  }

  async function cancel(member: Member, id: unknown, params: object = {}): Promise<void> {
    const own = [...awaited].find(([, each]) => each.member === member && each.id === id)?.[0];
    if (own === undefined) return;
    // Servers need not answer it any more.
    awaited.delete(own);
    const changed = { ...params, requestId: own };
    await (await process).send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: changed });
  }

  async function leave(member: Member): Promise<void> {
    members.delete(member);
    const left = [...awaited].filter(([, each]) => each.member === member);
    const started = await process.catch(() => undefined);
    if (members.size === 0) {
      onLeft();
      return started?.end();
    }
    // Nobody waits for these any more.
    for (const [, { id }] of left) await cancel(member, id).catch(() => {});
  }

  function onAnswer(answer: Answer): void {
    if (answer.id === BEGINNING) {
      if ('result' in answer) hasBegun(answer);
      else hasNotBegun(doesNotBegin(connection, `${program} refuses to begin a session`));
      return;
    }
    const request = awaited.get(answer.id);
    if (!request) return;
    awaited.delete(answer.id);
    request.member.end.onMessage(answerTo(request.id, answer));
  }

  function onNotification(message: Extract<JSONRPCMessage, { method: string }>): void {
    const { method, params } = message;
    if (method === 'notifications/cancelled') return;
    if (method !== 'notifications/progress') {
      // Whoever does not read misses what is said to all, rather than hold it up for the others.
      for (const { end, isPaused } of members) if (!isPaused) end.onMessage(message);
      return;
    }
    const request = awaited.get(params?.progressToken as RequestId);
    const progressToken = request?.progressToken;
    if (progressToken === undefined) return;
    request?.member.end.onMessage({ ...message, params: { ...params, progressToken } } as JSONRPCMessage);
  }

  async function refuse({ id, method }: Request): Promise<void> {
    const message = 'this server is shared by several clients, and nobody can tell whose is meant';
    const answer = method === 'ping' ? { result: {} } : { error: { code: METHOD_NOT_FOUND, message } };
    await (await process).send({ jsonrpc: '2.0', id, ...answer });
  }

  return {
    async join(end) {
      const member: Member = { end, isPaused: false };
      members.add(member);
      try {
        await begun;
      } catch (error) {
        await leave(member);
        throw error;
      }
      return {
        idleEndMs,
        async send(message) {
          await send(member, message);
          return undefined;
        },
        pause() {
          member.isPaused = true;
        },
        resume() {
          member.isPaused = false;
        },
        close: () => leave(member),
      };
    },
    onMessage(message) {
      if (!('method' in message)) onAnswer(message as Answer);
      else if ('id' in message) refuse(message as Request).catch(() => {});
      else onNotification(message);
    },
    onEnd(why) {
      hasNotBegun(doesNotBegin(connection, `${why} before it began a session`));
      for (const { end } of [...members]) end.onEnd(why);
    },
  };
}

function answerTo(id: RequestId, answer: Answer): JSONRPCMessage {
  return { ...answer, jsonrpc: '2.0', id } as JSONRPCMessage;
}

function doesNotBegin(connection: string, why: string): BrokerError {
  return new BrokerError('upstream_unavailable', why, {
    hint: 'try again later; the log of the daemon has what the program wrote',
    connection,
  });
}
