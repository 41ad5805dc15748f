/**
 * Passes a server's answer on to the agent. It streams, with back-pressure, from the first byte; only where something
 * must be looked for is it held, one message at a time.
 */
import type { ServerResponse } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { BrokerError, quote } from '../errors.ts';
import { requestIdHeader } from '../request-context.ts';
import type { Secret } from '../secret.ts';
import { discard } from './discard.ts';
import { EventFilter } from './event-filter.ts';
import { answerHeaders, isEventStream, isJson, isVagueEventStream } from './headers.ts';
import { changedBytes } from './held-message.ts';
import type { Hold } from './hold.ts';
import { readUpTo, whenOver } from './read-up-to.ts';
import type { UpstreamAnswer } from './upstream.ts';

export interface Relaying {
  /** Undefined: the answer passes as it comes. */
  hold: Hold | undefined;
  /** Told the size of each piece as it passes. */
  progress: (bytes: number) => void;
  /** Headers it was sent with, of which the agent must not hear. */
  credential: Readonly<Record<string, Secret>>;
  signal: AbortSignal;
}

/**
 * Passes the answer on, and resolves when all of it is on its way. Rejects when either side breaks off: with the reason
 * of `signal` where that was why.
 */
export async function relay(
  answer: UpstreamAnswer,
  response: ServerResponse,
  relaying: Relaying,
): Promise<void> {
  try {
    await relayAny(answer, response, relaying);
  } catch (error) {
    if (relaying.signal.aborted) throw relaying.signal.reason;
    throw error;
  }
}

async function relayAny(answer: UpstreamAnswer, response: ServerResponse, relaying: Relaying): Promise<void> {
  const { status, headers, body } = answer;
  const { hold, progress, credential, signal } = relaying;
  // Clients go by what the body is, or by any part of its type: so do we where nothing may pass unseen.
  if (hold?.isStrict && isVagueEventStream(headers)) throw vague(answer);
  const isWhole = isJson(headers) || (hold?.isStrict && !isEventStream(headers));
  if (hold && isWhole) return relayWhole(answer, response, { ...relaying, hold });
  const isFiltered = hold && isEventStream(headers);
  const length = headers['content-length'];
  const passed = isFiltered || length === undefined ? {} : { 'content-length': length };
  response.writeHead(status, { ...answerHeaders(headers, credential), ...passed, ...requestIdHeader() });
  // Clients wait for the head of a stream before they go on; any other leaves with the first piece of its body.
  if (isEventStream(headers)) response.flushHeaders();
  await pump(isFiltered ? filtered(body, hold) : body, response, progress);
  signal.throwIfAborted();
  response.end();
}

function vague({ headers, body }: UpstreamAnswer): BrokerError {
  discard(body);
  const type = quote(String(headers['content-type']));
  return new BrokerError('upstream_unavailable', `the server calls its answer ${type}, which is two things`, {
    hint: 'it may hold what the agent is not allowed to see: tell whoever keeps the server',
  });
}

/** The events of a stream, each looked at. */
function filtered(body: Readable, hold: Hold): Readable {
  // Whoever reads the events is told of errors of either.
  return pipeline(body, new EventFilter(hold), () => {});
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
  if (!response.writableNeedDrain) goOn();
  whenOver(source, (error) => {
    response.off('drain', goOn);
    if (error) reject(error);
    else resolve();
  });
  return promise;
}

/** One message, or a batch, that is looked at whole. */
async function relayWhole(
  { status, headers, body }: UpstreamAnswer,
  response: ServerResponse,
  { hold, progress, credential, signal }: Relaying & { hold: Hold },
): Promise<void> {
  const { bytes, isWhole } = await readUpTo(body, hold.maxBytes);
  if (!isWhole && hold.whenLarger === 'fail') {
    discard(body);
    throw tooLarge();
  }
  const sent = (isWhole && (await changedBytes(bytes, hold))) || bytes;
  const length = isWhole && status !== 204 ? { 'content-length': sent.length } : {};
  response.writeHead(status, { ...answerHeaders(headers, credential), ...length, ...requestIdHeader() });
  progress(sent.length);
  response.write(sent);
  if (!isWhole) await pump(body, response, progress);
  signal.throwIfAborted();
  response.end();
}

function tooLarge(): BrokerError {
  return new BrokerError('upstream_unavailable', 'the server sent a list too large to be filtered', {
    hint: 'ask for less, with a cursor',
  });
}
