/**
 * Passes a server's answer on to the agent. It streams, with back-pressure, from the first byte; only messages that may
 * carry a list are held, one at a time, where the agent must not see all of it.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
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
  response.writeHead(status, answerHeaders(headers));
  // Clients wait for the head of a stream before they go on.
  response.flushHeaders();
  const copy = async (source: AsyncIterable<Buffer>) => pump(source, response, progress, signal);
  if (isHeld && isEventStream(headers)) {
    const events = new EventFilter(onMessageFor(policy, watch), MOST_HELD_BYTES);
    await pipeline(body, events, copy, { signal });
  } else {
    await copy(body);
  }
  response.end();
}

/** Copies no faster than the agent reads. Leaves the answer open, so that whoever knows why it broke off can say so. */
async function pump(
  source: AsyncIterable<Buffer>,
  response: ServerResponse,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of source) {
    progress(chunk.length);
    if (!response.write(chunk)) await once(response, 'drain', { signal });
  }
  signal.throwIfAborted();
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
