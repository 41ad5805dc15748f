/** Asks a server for all its tools, as an MCP client of the official SDK does, in whatever revision it speaks. */
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import { readMessages } from '../core/mcp-message.ts';
import { BrokerError, quote } from '../errors.ts';
import type { Verb } from './call.ts';
import { forward } from './forward.ts';
import type { Upstream } from './upstream.ts';

/** A tool as its server describes it; `name` is the only member that must be there. */
export type ToolDefinition = Readonly<Record<string, unknown>> & { name: string };

const ToolsPage = z.looseObject({
  tools: z.array(z.looseObject({ name: z.string() })),
  nextCursor: z.string().optional(),
});

/** More pages would be a server that never ends. */
const MAX_PAGES = 100;

/** For everything together. */
const DEADLINE_MS = 30_000;

/** All tools, in the order of the server. Throws `upstream_unavailable`, `login_required` and what else `forward` does. */
export async function listTools(
  parts: { broker: Broker; upstream: Upstream },
  caller: Caller,
  access: UpstreamAccess,
): Promise<ToolDefinition[]> {
  // Loaded when it is needed: it is most of what the daemon would weigh.
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  let failure: unknown;

  async function send(_url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const signal = AbortSignal.any([deadline, ...(init.signal ? [init.signal] : [])]);
    try {
      return await sendThrough(parts, caller, access, init, signal);
    } catch (error) {
      // The client would tell it in other words.
      failure ??= error instanceof BrokerError ? error : undefined;
      throw error;
    }
  }

  const client = new Client(
    { name: 'mcp-token-broker', version: '1' },
    { versionNegotiation: { mode: 'auto' } },
  );
  // An upstream that is no HTTP server has no URL; nobody looks at this one.
  const transport = new StreamableHTTPClientTransport(new URL(access.url), { fetch: send as typeof fetch });
  try {
    await client.connect(transport);
    const tools: ToolDefinition[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const result = await client.request({ method: 'tools/list', params }, ToolsPage);
      tools.push(...(result.tools as ToolDefinition[]));
      cursor = result.nextCursor;
      if (cursor === undefined) return tools;
    }
    throw new Error(`more than ${MAX_PAGES} pages`);
  } catch (error) {
    throw failure ?? noTools(access.connection, error);
  } finally {
    await transport.terminateSession().catch(() => {});
    await client.close();
  }
}

async function sendThrough(
  parts: { broker: Broker; upstream: Upstream },
  caller: Caller,
  access: UpstreamAccess,
  { method = 'GET', headers, body: sent }: RequestInit,
  signal: AbortSignal,
): Promise<Response> {
  const bytes = typeof sent === 'string' ? Buffer.from(sent) : undefined;
  const call = {
    verb: method as Verb,
    messages: bytes ? readMessages(JSON.parse(bytes.toString())) : [],
    isBatch: false,
    body: bytes,
    headers: Object.fromEntries(new Headers(headers)),
    sessionId: undefined,
  };
  const { answer } = await forward(parts, caller, call, access, signal);
  const isEmpty = [204, 205, 304].includes(answer.status);
  if (isEmpty) answer.body.resume();
  const body = isEmpty ? null : ReadableStream.from(answer.body as AsyncIterable<Uint8Array>);
  return new Response(body, { status: answer.status, headers: pairs(answer.headers) });
}

function pairs(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): [string, string] => [name, each]),
  );
}

function noTools(connection: string, error: unknown): BrokerError {
  const said = error instanceof Error ? `: ${quote(error.message)}` : '';
  return new BrokerError('upstream_unavailable', `${connection} does not tell its tools${said}`, {
    hint: `look for the reason with: broker doctor ${connection}`,
    connection,
    cause: error,
  });
}
