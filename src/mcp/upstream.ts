/** A server behind the gateway, whichever way it is reached: one request, one answer whose body streams. */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Network } from '../core/server-settings.ts';
import type { Verb } from './call.ts';
import { unpack } from './unpack.ts';

export interface UpstreamRequest {
  verb: Verb;
  headers: Record<string, string>;
  body: Buffer | undefined;
  /** Gives the request up, and its answer. */
  signal: AbortSignal;
}

export interface UpstreamAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Unpacked. */
  body: Readable;
}

/** Sends one request. Rejects with the system's error when no answer comes. */
export type Upstream = (access: UpstreamAccess, request: UpstreamRequest) => Promise<UpstreamAnswer>;

/** Servers that speak Streamable HTTP. Redirects are answers like any other: a credential is not carried along. */
export function createHttpUpstream(dispatcherFor: (network: Network) => Dispatcher): Upstream {
  return async ({ url, network }, { verb, headers, body, signal }) => {
    const { origin, pathname, search } = new URL(url);
    const answer = await dispatcherFor(network).request({
      ...{ origin, path: pathname + search, method: verb, headers, signal, body: body ?? null },
    });
    return unpack({ status: answer.statusCode, headers: answer.headers, body: answer.body });
  };
}

/** An answer made here, in the place of a server that speaks no HTTP. */
export function jsonAnswer(status: number, value: unknown): UpstreamAnswer {
  const text = JSON.stringify(value);
  const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
  return { status, headers, body: Readable.from([Buffer.from(text)]) };
}
