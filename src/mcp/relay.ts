/**
 * Passes a server's answer on to the agent. It streams, with back-pressure, from the first byte; only messages that may
 * carry a list are held, one at a time, where the agent must not see all of it.
 */
import type { ServerResponse } from 'node:http';
import { finished, pipeline, type Readable } from 'node:stream';
import { isRestricted, judge, type Policy } from '../core/gateway-policy.ts';
import { filterLists } from '../core/list-filter.ts';
import { mayAnswerWithList } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import type { Call } from './call.ts';
import { EventFilter, type OnMessage } from './event-filter.ts';
import { answerHeaders, isEventStream, isJson } from './headers.ts';
import { readWhole } from './read-whole.ts';
import { knownTool } from './tool-digest.ts';
import type { UpstreamAnswer } from './upstream.ts';

/** A message that is held, to be looked at whole, may be this large. */
export const MOST_HELD_BYTES = 16 * 1024 * 1024;

/** Looks at each message of answers that are held. */
export type Watch = (message: unknown) => void;

/**
 * Passes the answer on, and resolves when the agent has it whole. Rejects when either side breaks off.
 *
 * @param progress told the size of each piece as it passes
 */
export async function relay(
  call: Call,
  policy: Policy,
  answer: UpstreamAnswer,
  response: ServerResponse,
  { watch, progress, signal }: { watch: Watch; progress: (bytes: number) => void; signal: AbortSignal },
): Promise<void> {
  const { status, headers, body } = answer;
  const isHeld = isRestricted(policy) && mayHoldList(call);
  if (isHeld && isJson(headers)) return sendFiltered(policy, answer, response, watch, progress);
  const length = headers['content-length'];
  const isFiltered = isHeld && isEventStream(headers);
  const passed = isFiltered || length === undefined ? {} : { 'content-length': length };
  response.writeHead(status, { ...answerHeaders(headers), ...passed });
  // Clients wait for the head of a stream before they go on; any other leaves with the first piece of its body.
  if (isEventStream(headers)) response.flushHeaders();
  await pump(isFiltered ? filtered(body, policy, watch) : body, response, progress);
  signal.throwIfAborted();
  response.end();
}

/** The events of a stream without what the agent may not see. */
function filtered(body: Readable, policy: Policy, watch: Watch): Readable {
  const events = new EventFilter(onMessageFor(policy, watch), MOST_HELD_BYTES);
  // Whoever reads the events is told of errors of either.
  return pipeline(body, events, () => {});
}

/** Copies no faster than the agent reads. Leaves the answer open, so that whoever knows why it broke off can say so. */
function pump(source: Readable, response: ServerResponse, progress: (bytes: number) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const goOn = () => source.resume();
  source.on('data', (chunk: Buffer) => {
    progress(chunk.length);
    if (!response.write(chunk)) source.pause();
  });
  response.on('drain', goOn);
  finished(source, { writable: false }, (error) => {
    response.off('drain', goOn);
    if (error) reject(error);
    else resolve();
  });
  return promise;
}

/** Streams without a question bring whatever the server has, answers that came too late among it. */
function mayHoldList({ verb, messages }: Call): boolean {
  if (verb === 'GET') return true;
  return messages.some((message) => message.kind !== 'response' && mayAnswerWithList(message.method));
}

async function sendFiltered(
  policy: Policy,
  { status, headers, body }: UpstreamAnswer,
  response: ServerResponse,
  watch: Watch,
  progress: (bytes: number) => void,
): Promise<void> {
  const whole = await readWhole(body, MOST_HELD_BYTES, listTooLarge);
  const sent = Buffer.from(filterBody(policy, whole, watch));
  response.writeHead(status, { ...answerHeaders(headers), 'content-length': sent.length });
  progress(sent.length);
  response.end(sent);
}

function listTooLarge(): BrokerError {
  return new BrokerError('upstream_unavailable', 'the server sent a list too large to be filtered', {
    hint: 'ask for less, with a cursor',
  });
}

/** What is no JSON holds no list. */
function filterBody(policy: Policy, whole: Buffer, watch: Watch): Buffer | string {
  let message: unknown;
  try {
    message = JSON.parse(whole.toString('utf8'));
  } catch {
    return whole;
  }
  const changed = onMessageFor(policy, watch)(message);
  return changed === message ? whole : JSON.stringify(changed);
}

function onMessageFor(policy: Policy, watch: Watch): OnMessage {
  return (message) => {
    watch(message);
    return filterLists(message, (kind, name, entry) => {
      const known = kind === 'tool' ? knownTool(entry as Record<string, unknown>) : undefined;
      return judge(policy, { kind, name }, known).isAllowed;
    });
  };
}
