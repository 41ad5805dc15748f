/**
 * The gateway: an MCP server to any agent with a key, whatever the real one wants. One call, top to bottom: read it,
 * whose session is it, may the agent do that, send it with the credential, pass the answer on, write it down.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import type { Clock } from '../clock.ts';
import { type CallLimits, limitsOf } from '../core/call-limits.ts';
import type { RequestId } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Call, readCall } from './call.ts';
import { answerRefused, finishBroken } from './call-failure.ts';
import { createCallNotes, type Outcome } from './call-notes.ts';
import type { Catalogue } from './catalogue.ts';
import { createCrowd } from './crowd.ts';
import { discard } from './discard.ts';
import { createEndlessStreams, isEndless } from './endless.ts';
import { forward, renew } from './forward.ts';
import { isEventStream } from './headers.ts';
import { holdFor } from './hold.ts';
import { CallRefused, judgeMessages, wantsKnowledge } from './judge-call.ts';
import { createOpenCalls } from './open-calls.ts';
import { failureOf, GatewayRefusal, type JsonRpcError, toJsonRpc, UNKNOWN_FAILURE } from './refusal.ts';
import { relay } from './relay.ts';
import { ClientGone, createTimeLimits, type TimeLimits } from './time-limits.ts';
import type { Upstream, UpstreamAnswer } from './upstream.ts';
import { createRightsWatch } from './watch-rights.ts';

export interface GatewayOptions {
  broker: Broker;
  clock: Clock;
  log: Log;
  upstream: Upstream;
  catalogue: Catalogue;
  /** Whether the audit trail tells the arguments of calls, and not only their hash. */
  auditArguments: boolean;
}

export interface Gateway {
  /**
   * Answers one request of an agent. Never rejects: what goes wrong is the answer, and what nobody expected is in the
   * log.
   */
  handle(
    caller: Caller,
    connection: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void>;
  /** Ends the streams that would never end by themselves; calls go on. */
  beginStop(): void;
}

/** What one call is handled with. */
interface Handling {
  caller: Caller;
  connection: string;
  request: IncomingMessage;
  response: ServerResponse;
  limits: CallLimits;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { broker, clock, log, catalogue } = options;
  const crowd = createCrowd();
  const startTimeLimits = createTimeLimits(clock);
  const openCalls = createOpenCalls(clock);
  const notes = createCallNotes(options);
  const watchRights = createRightsWatch(clock);
  const endless = createEndlessStreams();

  async function handle(handling: Handling): Promise<void> {
    const { caller, connection, request, response, limits } = handling;
    let leave: (() => void) | undefined;
    let call: Call | undefined;
    const outcome: Outcome = { startedAt: clock.now(), bytes: 0 };
    try {
      leave = crowd.enter(caller, limits.concurrency);
      call = await readCall(request, limits.bodyBytes);
      await serve(handling, call, outcome);
    } catch (error) {
      const isOver = response.headersSent;
      if (isOver) finishBroken(response, call, error, { isStream: outcome.isStream ?? false });
      await notes.failed(caller, connection, call, outcome, error);
      if (!isOver) answerRefused(response, call, error, log);
    } finally {
      leave?.();
    }
  }

  async function serve(
    { caller, connection, response, limits }: Handling,
    call: Call,
    outcome: Outcome,
  ): Promise<void> {
    const access = await broker.gateway.open(caller, connection);
    outcome.access = access;
    await requireOwnSession(caller, connection, call);
    const tools = wantsKnowledge(access.policy, call.messages)
      ? await catalogue.toolsOf(caller, access)
      : undefined;
    outcome.judged = judgeMessages(access.policy, call.messages, tools);
    if (outcome.judged.some(({ verdict }) => !verdict.isAllowed)) throw new CallRefused(outcome.judged);
    await pass({
      caller,
      call,
      access,
      response,
      outcome,
      time: startTimeLimits(limits),
    });
    notes.passed(caller, connection, call, outcome);
  }

  async function pass({ caller, call, access, response, outcome, time }: Passing): Promise<void> {
    // A client that hangs up wants no answer any more.
    const hangUp = () => time.cancel(new ClientGone('the agent hung up'));
    response.once('close', hangUp);
    if (response.destroyed) hangUp();
    let leave: (() => void) | undefined;
    let stopWatching: (() => void) | undefined;
    const close = openCalls.enter(caller, access.connection, call, time);
    try {
      leave = isEndless(call) ? endless.enter(time) : undefined;
      const forwarded = await forward(options, caller, call, access, time.signal, (status, sentWith) => {
        outcome.status = status;
        outcome.access = sentWith;
      });
      const { answer } = forwarded;
      openCalls.cancelledBy(caller, access.connection, call);
      outcome.isStream = isEventStream(answer.headers);
      await keepSession(caller, call, access.connection, answer).catch((error: unknown) => {
        discard(answer.body);
        throw error;
      });
      if (leave) {
        time.setEndless();
        stopWatching = watchRights(access, time.cancel);
      }
      const hold = holdFor(call, forwarded.access, {
        heard: (message) => catalogue.heard(access.connection, message),
        loginEnded: (id) => renewed(caller, forwarded.access, id, outcome),
      });
      await relay(answer, response, {
        hold,
        credential: forwarded.access.headers,
        signal: time.signal,
        progress(bytes) {
          outcome.bytes += bytes;
          time.progress();
        },
      });
    } finally {
      response.off('close', hangUp);
      close();
      leave?.();
      time.stop();
      stopWatching?.();
    }
  }

  /**
   * The server said so inside an answer, and what it did before nobody can tell: so the login is renewed, and it is for
   * the model to call again.
   */
  async function renewed(
    caller: Caller,
    access: UpstreamAccess,
    id: RequestId | null,
    outcome: Outcome,
  ): Promise<JsonRpcError> {
    outcome.code = 'login_ended';
    try {
      await renew(broker, caller, access);
    } catch (error) {
      return toJsonRpc(id, failureOf(error) ?? UNKNOWN_FAILURE);
    }
    const message = `the login of ${access.connection} had ended at the server and was renewed a moment ago; call again`;
    return toJsonRpc(id, { status: 200, code: 'login_renewed', message });
  }

  /** A session of another agent is answered like one that has ended (MCP 2025-11-25, Session Management). */
  async function requireOwnSession(
    caller: Caller,
    connection: string,
    { sessionId, headers }: Call,
  ): Promise<void> {
    if (sessionId === undefined) {
      // Without a session nobody can tell whose messages would be sent once more.
      if (headers['last-event-id'] !== undefined)
        throw new GatewayRefusal(
          400,
          'bad_request',
          'Last-Event-ID wants the session it belongs to (Mcp-Session-Id)',
        );
      return;
    }
    if (caller.kind === 'operator') return;
    if (await broker.gateway.sessions.isOf(caller.agent, connection, sessionId)) return;
    throw new GatewayRefusal(
      404,
      'session_unknown',
      `there is no such session of ${connection} for this agent`,
    );
  }

  /** A new session belongs to the agent before it hears of it; an ended one to nobody. */
  async function keepSession(
    caller: Caller,
    { verb, sessionId: named }: Call,
    connection: string,
    { status, headers }: UpstreamAnswer,
  ): Promise<void> {
    const { sessions } = broker.gateway;
    const given = headers['mcp-session-id'];
    if (caller.kind === 'operator') return;
    const isEnded = named !== undefined && (status === 404 || (verb === 'DELETE' && status < 300));
    if (isEnded) await sessions.ended(connection, named);
    if (typeof given !== 'string' || given === named || status >= 400) return;
    if (await sessions.opened(caller.agent, connection, given)) return;
    throw new BrokerError('upstream_unavailable', `${connection} gave out a session id twice`, {
      hint: 'begin another session; if it happens again, tell whoever keeps the server',
      connection,
    });
  }

  return {
    handle: (caller, connection, request, response) => {
      const limits = limitsOf(caller.kind === 'agent' ? caller.agent.policy.limits : undefined);
      return handle({ caller, connection, request, response, limits });
    },
    beginStop: endless.stop,
  };
}

interface Passing {
  caller: Caller;
  call: Call;
  access: UpstreamAccess;
  response: ServerResponse;
  outcome: Outcome;
  time: TimeLimits;
}
