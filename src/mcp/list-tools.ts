/** Asks a server for all it offers, as an MCP client of the official SDK does, in whatever revision it speaks. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Client } from '@modelcontextprotocol/client';
import { z } from 'zod';
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import { LISTS, type ListMember, readMessages } from '../core/mcp-message.ts';
import { BrokerError, quote } from '../errors.ts';
import type { Verb } from './call.ts';
import { forward } from './forward.ts';
import type { Upstream } from './upstream.ts';

/** A tool as its server describes it; `name` is the only member that must be there. */
export type ToolDefinition = Readonly<Record<string, unknown>> & { name: string };

/** All a server offers, each list in the order of the server. Empty: it has none, or no such feature. */
export interface Offer {
  tools: ToolDefinition[];
  /** Names. */
  prompts: string[];
  /** URIs, and templates of URIs. */
  resources: string[];
}

/** A server that can be asked: its name in messages, its URL, and the way one request gets there. */
export interface Askable {
  connection: string;
  url: string;
  send(init: RequestInit, signal: AbortSignal): Promise<Response>;
}

/** More pages would be a server that never ends. */
const MAX_PAGES = 100;

/** For everything together. */
const DEADLINE_MS = 30_000;

/** All tools, in the order of the server. Throws `upstream_unavailable`, `login_required` and what else `forward` does. */
export function listTools(
  parts: { broker: Broker; upstream: Upstream },
  caller: Caller,
  access: UpstreamAccess,
): Promise<ToolDefinition[]> {
  return askTools(throughGateway(parts, caller, access));
}

/** Tools, prompts and resources. Throws the same. */
export function listOffer(
  parts: { broker: Broker; upstream: Upstream },
  caller: Caller,
  access: UpstreamAccess,
): Promise<Offer> {
  return withClient(throughGateway(parts, caller, access), async (client) => {
    const { prompts, resources } = client.getServerCapabilities() ?? {};
    const texts = async (method: string, member: string) =>
      (await orNone(listAll(client, method, member))).map((entry) => entry[member] as string);
    const uris = async () => [
      ...(await texts('resources/list', 'uri')),
      ...(await texts('resources/templates/list', 'uriTemplate')),
    ];
    return {
      tools: await orNone(toolsOf(client)),
      prompts: prompts ? await texts('prompts/list', 'name') : [],
      resources: resources ? await uris() : [],
    };
  });
}

/** JSON-RPC: the server has no such method. Many with resources have no templates of them. */
const METHOD_NOT_FOUND = -32_601;

async function orNone<T>(list: Promise<T[]>): Promise<T[]> {
  try {
    return await list;
  } catch (error) {
    if ((error as { code?: unknown }).code === METHOD_NOT_FOUND) return [];
    throw error;
  }
}

/** The tools of a server that is asked in a way of its own. Throws `upstream_unavailable` and what `send` throws. */
export function askTools(server: Askable): Promise<ToolDefinition[]> {
  return withClient(server, toolsOf);
}

function throughGateway(
  parts: { broker: Broker; upstream: Upstream },
  caller: Caller,
  access: UpstreamAccess,
): Askable {
  const { connection, url } = access;
  return { connection, url, send: (init, signal) => sendThrough(parts, caller, access, init, signal) };
}

async function withClient<T>(
  { connection, url, send }: Askable,
  ask: (client: Client) => Promise<T>,
): Promise<T> {
  // Loaded when it is needed: it is most of what the daemon would weigh.
  const sdk = await import('@modelcontextprotocol/client');
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  let failure: unknown;

  async function fetch(_url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const signal = AbortSignal.any([deadline, ...(init.signal ? [init.signal] : [])]);
    try {
      return await send(init, signal);
    } catch (error) {
      // The client would tell it in other words.
      failure ??= error instanceof BrokerError ? error : undefined;
      throw error;
    }
  }

  const client = new sdk.Client(
    { name: 'mcp-token-broker', version: '1' },
    { versionNegotiation: { mode: 'auto' } },
  );
  // An upstream that is no HTTP server has no URL; nobody looks at this one.
  const transport = new sdk.StreamableHTTPClientTransport(new URL(url), {
    fetch: fetch as typeof globalThis.fetch,
  });
  try {
    await client.connect(transport);
    return await ask(client);
  } catch (error) {
    throw failure ?? noTools(connection, error);
  } finally {
    await transport.terminateSession().catch(() => {});
    await client.close();
  }
}

async function toolsOf(client: Client): Promise<ToolDefinition[]> {
  return (await listAll(client, 'tools/list', 'name')) as ToolDefinition[];
}

/** All pages of a list whose entries are named by `member`. */
async function listAll(client: Client, method: string, member: string): Promise<Record<string, unknown>[]> {
  const list = LISTS[method] as ListMember;
  const Page = z.looseObject({
    [list]: z.array(z.looseObject({ [member]: z.string() })),
    nextCursor: z.string().optional(),
  });
  const entries: Record<string, unknown>[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const params = cursor === undefined ? {} : { cursor };
    const result: Record<string, unknown> = await client.request({ method, params }, Page);
    entries.push(...(result[list] as Record<string, unknown>[]));
    cursor = result.nextCursor as string | undefined;
    if (cursor === undefined) return entries;
  }
  throw new Error(`more than ${MAX_PAGES} pages`);
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
