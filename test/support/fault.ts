import type { ServerResponse } from 'node:http';
import type { RecordedRequest } from './recorded-request.ts';

/**
 * What goes wrong with one request.
 * - `status`: this answer instead of the real one. The server never sees the request, unless `afterProcessing`:
 *   then it handles it fully (a refresh token is rotated) and only its answer is replaced, like by a broken proxy.
 * - `destroyBefore`: the connection is cut and the server never sees the request.
 * - `destroyAfter`: the server handles the request fully, then the connection is cut without an answer.
 * - `instead`: answers in place of the server. The server handles the request when `decide` is called, once
 *   at most: then the record has its decision, and the result sends it.
 */
export type Fault =
  | { status: number; headers?: Record<string, string>; body?: string | object; afterProcessing?: boolean }
  | { destroyBefore: true }
  | { destroyAfter: true }
  | { instead(response: ServerResponse, decide: () => Promise<() => void>): Promise<void> };

/**
 * Decides about each request; undefined lets it pass. A pending promise holds the request back, so a test can make
 * a server hang and let it go on again.
 */
export type FaultRule = (request: RecordedRequest) => Fault | undefined | Promise<Fault | undefined>;

/**
 * Lets the server behind `response` answer under `fault`: calls `processed` with the status and the last piece of
 * the body it decided on, then sends, replaces or drops the answer.
 */
export function answerUnderFault(
  response: ServerResponse,
  fault: Exclude<Fault, { instead: unknown }> | undefined,
  processed: (status: number, body: unknown) => void,
): void {
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  response.end = ((...args: unknown[]) => {
    response.end = end as typeof response.end;
    processed(response.statusCode, args[0]);
    if (fault === undefined) return end(...args);
    if ('status' in fault) return sendFault(response, fault);
    response.destroy();
    return response;
  }) as typeof response.end;
}

/**
 * Lets the server behind `response` `handle` its request without sending anything: calls `processed` like
 * `answerUnderFault`. The result sends the answer after all, as the server meant it.
 */
export async function holdBackAnswer(
  response: ServerResponse,
  handle: () => Promise<void>,
  processed: (status: number, body: unknown) => void,
): Promise<() => void> {
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  const { promise, resolve } = Promise.withResolvers<() => void>();
  response.end = ((...args: unknown[]) => {
    response.end = end as typeof response.end;
    processed(response.statusCode, args[0]);
    const headers = new Map(Object.entries(response.getHeaders()) as [string, string][]);
    removeHeaders(response);
    resolve(() => void end.apply(response.setHeaders(headers), args));
    return response;
  }) as typeof response.end;
  await handle();
  return promise;
}

/** Sends the answer of a `status` fault, without any header that was set before. An object becomes JSON. */
export function sendFault(
  response: ServerResponse,
  fault: Extract<Fault, { status: number }>,
): ServerResponse {
  removeHeaders(response);
  const { status, headers, body = '' } = fault;
  const isJson = typeof body === 'object';
  response.writeHead(status, { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers });
  return response.end(isJson ? JSON.stringify(body) : body);
}

function removeHeaders(response: ServerResponse): void {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
}
