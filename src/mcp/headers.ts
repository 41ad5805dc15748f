/** Which headers cross the gateway. What is not named here stays on its side. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Secret } from '../secret.ts';

/** Of an agent's request; besides these all that begin with `mcp-`. */
const REQUEST_HEADERS = new Set([
  ...['accept', 'accept-language', 'content-type', 'last-event-id'],
  ...['traceparent', 'tracestate', 'baggage'],
]);

/** Of a server's answer; besides these all that begin with `mcp-`. */
const ANSWER_HEADERS = new Set(['content-type', 'retry-after', 'allow', 'content-language']);

/**
 * What the server is sent: the agent's own headers as far as they concern MCP, and the credential, which wins over
 * whatever the agent sent under that name.
 */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  credential: Readonly<Record<string, Secret>>,
): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !(name.startsWith('mcp-') || REQUEST_HEADERS.has(name))) continue;
    sent[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  sent['user-agent'] = 'mcp-token-broker';
  // Lists must be read to be filtered.
  sent['accept-encoding'] = 'identity';
  for (const [name, value] of Object.entries(credential)) sent[name.toLowerCase()] = value.reveal();
  return sent;
}

/** What the agent is told. */
export function answerHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const told: OutgoingHttpHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !(name.startsWith('mcp-') || ANSWER_HEADERS.has(name))) continue;
    told[name] = value;
  }
  // Proxies in front of us must not hold back a stream.
  if (isEventStream(headers)) told['x-accel-buffering'] = 'no';
  return told;
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
