/** Puts the servers of both SDKs at one address: whoever speaks 2026-07-28 gets v2, everybody else v1. */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isLegacyRequest, type McpHttpHandler } from '@modelcontextprotocol/server';
import type { SessionServer } from './gateway-mcp-v1.ts';
import type { Answer, SeenCall } from './gateway-upstream.ts';
import { UPSTREAM_COOKIE } from './gateway-upstream.ts';
import { parseJson } from './recorded-request.ts';

/** Answers calls, each with a cookie as servers behind a load balancer set them. */
export function serveSdk(sessions: SessionServer, stateless: McpHttpHandler): Answer {
  return async (call, response, request) => {
    response.setHeader('set-cookie', UPSTREAM_COOKIE);
    const body = call.body.length > 0 ? parseJson(call.body) : undefined;
    const left = new AbortController();
    response.once('close', () => left.abort());
    const asked = fetchRequest(call, left.signal);
    if (await isLegacyRequest(asked.clone(), body)) return sessions.handle(request, response, body);
    await send(await stateless.fetch(asked), response);
  };
}

function fetchRequest({ verb, headers, body }: SeenCall, signal: AbortSignal): Request {
  const sent = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  return new Request(`http://${headers.host}/mcp`, {
    method: verb,
    headers: sent,
    signal,
    ...(body.length > 0 ? { body: new Uint8Array(body) } : {}),
  });
}

async function send(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.flushHeaders();
  if (!answer.body) return void response.end();
  // A caller that goes away ends the stream in the middle, which is its right.
  await pipeline(Readable.fromWeb(answer.body), response).catch(() => {});
}
