/** Answers to calls that fail, before an answer was begun and after. */
import type { ServerResponse } from 'node:http';
import { BrokerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Call, requestIds } from './call.ts';
import { CallRefused } from './judge-call.ts';
import {
  type Failure,
  failureOf,
  type JsonRpcError,
  sendJson,
  toJsonRpc,
  UNKNOWN_FAILURE,
} from './refusal.ts';
import { CallCancelled, CallTimeout, Stopping } from './time-limits.ts';

/** Answers a call nothing was said to yet. */
export function answerRefused(
  response: ServerResponse,
  call: Call | undefined,
  error: unknown,
  log: Log,
): void {
  if (response.destroyed) return;
  const failure = describe(error);
  if (failure === UNKNOWN_FAILURE) log.error({ err: error }, 'a call through the gateway failed');
  // Whoever sends more than may be read is not listening either.
  if (failure.status === 413) response.setHeader('Connection', 'close');
  const answers = answersFor(call, failure, error);
  sendJson(response, failure.status, call?.isBatch ? answers : answers[0], failure.retryAfterSeconds);
}

/** One answer for each request; `null` in the place of an id where there is none. */
function answersFor(call: Call | undefined, failure: Failure, error: unknown): JsonRpcError[] {
  const answers = (call?.messages ?? []).flatMap((message, index) => {
    if (message.kind !== 'request') return [];
    const said = error instanceof CallRefused ? { ...failure, message: error.reasonAt(index) } : failure;
    return [toJsonRpc(message.id, said)];
  });
  return answers.length > 0 ? answers : [toJsonRpc(null, failure)];
}

/**
 * Ends an answer that broke off in the middle: a stream of events with an error for each request, anything else by
 * closing the connection, so that nobody takes the half for the whole.
 */
export function finishBroken(
  response: ServerResponse,
  call: Call | undefined,
  error: unknown,
  { isStream }: { isStream: boolean },
): void {
  if (response.destroyed || response.writableEnded) return;
  if (!isStream || !call) {
    response.destroy();
    return;
  }
  // Who cancelled the call waits for nothing.
  if (error instanceof CallCancelled) {
    response.end();
    return;
  }
  const failure = describe(error);
  const events = requestIds(call.messages).map((id) => `data: ${JSON.stringify(toJsonRpc(id, failure))}\n\n`);
  // The blank lines end whatever event was under way.
  response.end(`\n\n${events.join('')}`);
}

function describe(error: unknown): Failure {
  if (error instanceof CallTimeout) {
    const message = `the call was given up: ${error.message}`;
    return { status: 504, code: 'upstream_unavailable', message, retryAfterSeconds: 5 };
  }
  if (error instanceof CallCancelled) return { status: 200, code: 'cancelled', message: error.message };
  if (error instanceof Stopping) {
    const message = 'the broker is stopping';
    return { status: 503, code: 'upstream_unavailable', message, retryAfterSeconds: 5 };
  }
  if (!(error instanceof BrokerError) && isBroken(error)) {
    const message = 'the server broke off in the middle of its answer';
    return { status: 502, code: 'upstream_unavailable', message, retryAfterSeconds: 5 };
  }
  return failureOf(error) ?? UNKNOWN_FAILURE;
}

/** Errors of sockets, of undici and its parser, and of what unpacks. */
function isBroken(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return (
    typeof code === 'string' &&
    /^(E[A-Z]+|UND_ERR_\w+|HPE_\w+|ERR_STREAM_PREMATURE_CLOSE|Z_\w+|ZSTD_\w+|ERR__ERROR_\w+)$/.test(code)
  );
}
