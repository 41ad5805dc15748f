/** Which headers cross the gateway. What is not named here stays on its side. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { readTraceId } from '../core/trace-context.ts';
import type { Secret } from '../secret.ts';

/** Of an agent's request; besides these all that begin with `mcp-`. */
const REQUEST_HEADERS = new Set([
  ...['accept', 'accept-language', 'content-type', 'last-event-id'],
  ...['traceparent', 'tracestate', 'baggage'],
]);

/** What belongs to a trace, which there is only where its first header can be read (W3C Trace Context §3.2). */
const OF_A_TRACE = new Set(['traceparent', 'tracestate']);

/** Of a server's answer. */
const ANSWER_HEADERS = new Set([
  ...['content-type', 'retry-after', 'allow', 'content-language'],
  // All that MCP has in answers: others could say whatever a server likes to put there.
  ...['mcp-session-id', 'mcp-protocol-version'],
]);

/** Shorter ones would be found in any value. */
const MIN_SECRET = 4;

/**
 * What the server is sent: the agent's own headers as far as they concern MCP, and the credential, which wins over
 * whatever the agent sent under that name.
 */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  credential: Readonly<Record<string, Secret>>,
): Record<string, string> {
  const sent: Record<string, string> = {};
  const isTraced = readTraceId(headers.traceparent) !== undefined;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !(name.startsWith('mcp-') || REQUEST_HEADERS.has(name))) continue;
    if (!isTraced && OF_A_TRACE.has(name)) continue;
    sent[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  sent['user-agent'] = 'mcp-token-broker';
  // Lists must be read to be filtered.
  sent['accept-encoding'] = 'identity';
  for (const [name, value] of Object.entries(credential)) sent[name.toLowerCase()] = value.reveal();
  return sent;
}

/** What the agent is told: nothing that holds the credential, and nothing that no header of ours can carry. */
export function answerHeaders(
  headers: IncomingHttpHeaders,
  credential: Readonly<Record<string, Secret>>,
): OutgoingHttpHeaders {
  const secrets = Object.values(credential).flatMap((value) => secretsIn(value));
  const mayBeTold = (value: string) =>
    SENDABLE.test(value) && !secrets.some((secret) => value.includes(secret));
  const told: OutgoingHttpHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !ANSWER_HEADERS.has(name)) continue;
    if ([value].flat().every(mayBeTold)) told[name] = value;
  }
  // Proxies in front of us must not hold back a stream.
  if (isEventStream(headers)) told['x-accel-buffering'] = 'no';
  return told;
}

/** Characters of a header's value (RFC 9110 §5.5), which Node refuses to send others than. */
const SENDABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The value of a header, and what stands in it behind a scheme: `Bearer x` shows its token also as `x`. */
function secretsIn(credential: Secret): string[] {
  const value = credential.reveal();
  return [value, ...value.split(/\s+/).slice(1)].filter((each) => each.length >= MIN_SECRET);
}

/** Whether the answer is a stream of events (`text/event-stream`). */
export function isEventStream(headers: IncomingHttpHeaders): boolean {
  return mediaType(headers) === 'text/event-stream';
}

/** Whether some clients would take the answer for a stream of events, and others not. */
export function isVagueEventStream(headers: IncomingHttpHeaders): boolean {
  return !isEventStream(headers) && /event-stream/i.test(String(headers['content-type']));
}

/** Whether the answer is JSON. */
export function isJson(headers: IncomingHttpHeaders): boolean {
  return mediaType(headers) === 'application/json';
}

function mediaType(headers: IncomingHttpHeaders): string {
  return (
    String(headers['content-type'] ?? '')
      .split(';')[0]
      ?.trim()
      .toLowerCase() ?? ''
  );
}
