/** HTTP/1.1 by hand: what no client library would send. */
import { connect } from 'node:net';

/** A request, of which everything may be wrong. */
export interface RawCall {
  /** Default POST. */
  method?: string;
  /** What stands in the request line. */
  target: string;
  /** In this order, and as often as they are here. `Host` is added unless it is named. */
  headers: [string, string][];
  /** `Content-Length` is added for it unless it, or `Transfer-Encoding`, is named. */
  body?: string | Buffer;
}

export interface RawReply {
  /** 0: the connection was closed without one. */
  status: number;
  /** Head and body, chunks joined. */
  text: string;
  body: string;
}

/** Sends the request on a connection of its own, and reads until the server closes it. */
export async function sendRaw(port: number, call: RawCall): Promise<RawReply> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('data', (chunk) => void chunks.push(chunk));
  socket.on('error', () => {});
  socket.on('close', () => resolve(Buffer.concat(chunks)));
  socket.write(bytesOf(port, call));
  return parse(await promise);
}

/** The request as it goes over the wire. */
function bytesOf(port: number, { method = 'POST', target, headers, body = '' }: RawCall): Buffer {
  const isNamed = (...names: string[]) => headers.some(([name]) => names.includes(name.toLowerCase()));
  const bytes = Buffer.from(body);
  const added: [string, string][] = [
    ...(isNamed('host') ? [] : [['Host', `127.0.0.1:${port}`] as [string, string]]),
    ...(isNamed('content-length', 'transfer-encoding')
      ? []
      : [['Content-Length', String(bytes.length)] as [string, string]]),
    ...(isNamed('connection') ? [] : [['Connection', 'close'] as [string, string]]),
  ];
  const lines = [...added, ...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    bytes,
  ]);
}

function parse(bytes: Buffer): RawReply {
  const text = bytes.toString('utf8');
  const headEnd = text.indexOf('\r\n\r\n');
  const head = headEnd === -1 ? text : text.slice(0, headEnd);
  const rest = headEnd === -1 ? '' : text.slice(headEnd + 4);
  const body = /^transfer-encoding: chunked/im.test(head) ? joined(rest) : rest;
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0), text: `${head}\n\n${body}`, body };
}

/** Chunks put together. Sizes count bytes, and these bodies are ASCII. */
function joined(text: string): string {
  const size = Number.parseInt(text, 16);
  if (!(size > 0)) return '';
  const from = text.indexOf('\r\n') + 2;
  return text.slice(from, from + size) + joined(text.slice(from + size + 2));
}
