/**
 * A process for the gateway benchmark: an MCP server that costs next to nothing, or a bare reverse proxy in front of it.
 * Prints its port. `node gateway-upstream.ts server` or `node gateway-upstream.ts proxy <port> <digest of the key>`.
 */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Agent, request as send } from 'undici';

const MIB = Buffer.alloc(1024 * 1024, 'x');

/** Text of about one kilobyte, as a tool might answer. */
const RESULT = { content: [{ type: 'text', text: 'x'.repeat(1000) }] };

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Answers tool calls: `echo` with a kilobyte, `flood` with as many MiB as it is told, `wait` with a stream that stays open. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.headers.authorization !== 'Bearer upstream-credential') {
    response.writeHead(401).end();
    return;
  }
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(': open\n\n');
    return;
  }
  const { id, params } = JSON.parse((await read(request)).toString());
  if (params.name === 'flood') return flood(response, id, params.arguments.mib);
  const body = JSON.stringify({ jsonrpc: '2.0', id, result: RESULT });
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

/** Progress in events of one MiB each, then the result. */
async function flood(response: ServerResponse, id: unknown, mib: number): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  for (let sent = 0; sent < mib; sent += 1) {
    response.write(
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"',
    );
    response.write(MIB);
    if (!response.write('"}}\n\n')) await once(response, 'drain');
  }
  response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: RESULT })}\n\n`);
}

/** What anybody would write: check the key, parse the message, put the credential in, stream the answer back. */
function createProxy(port: string, digest: string): RequestListener {
  const dispatcher = new Agent();
  return async (request, response) => {
    const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (hash('sha256', key, 'base64url') !== digest) {
      response.writeHead(401).end();
      return;
    }
    const body = request.method === 'POST' ? await read(request) : undefined;
    if (body) JSON.parse(body.toString());
    const answer = await send(`http://127.0.0.1:${port}/mcp`, {
      method: request.method as 'POST',
      headers: {
        accept: request.headers.accept,
        'content-type': request.headers['content-type'],
        authorization: 'Bearer upstream-credential',
      },
      body: body ?? null,
      dispatcher,
    });
    response.writeHead(answer.statusCode, { 'Content-Type': answer.headers['content-type'] as string });
    await pipeline(answer.body, response).catch(() => {});
  };
}

const [role, ...rest] = process.argv.slice(2);
const server = createServer(
  role === 'proxy'
    ? createProxy(rest[0] ?? '', rest[1] ?? '')
    : (request, response) => void serve(request, response),
);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
await once(server, 'listening');
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
