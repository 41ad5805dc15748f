/** An agent at the level of bytes: what it sends, when it reads, and when it goes away is the test's. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAgent {
  socket: Socket;
  /** Everything read so far. */
  text(): string;
  /** Bytes read so far. */
  bytes(): number;
  /** Resolves once `wanted` was read; rejects when the connection ends before. */
  until(wanted: string | RegExp): Promise<string>;
  /** Resolves once so many bytes were read. */
  untilBytes(count: number): Promise<void>;
  /** Resolves with everything when the other side has closed. */
  closed: Promise<string>;
  send(message: unknown, headers?: Record<string, string>): void;
}

/** Connects to a daemon at `url`; nothing is sent yet. */
export async function rawAgent(url: string, key: string): Promise<RawAgent> {
  const { hostname, port, pathname, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  let text = '';
  let bytes = 0;
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  const watchers = new Set<() => void>();
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    // Who reads gigabytes looks for nothing in them.
    if (text.length < 1_000_000) text += chunk.toString('latin1');
    for (const watch of watchers) watch();
  });
  return {
    socket,
    text: () => text,
    bytes: () => bytes,
    closed,
    until: (wanted) =>
      new Promise((resolve, reject) => {
        const watch = () => {
          if (!(typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text))) return;
          watchers.delete(watch);
          resolve(text);
        };
        watchers.add(watch);
        watch();
        void closed.then(() => reject(new Error(`closed before ${wanted} came: ${text.slice(-500)}`)));
      }),
    untilBytes: (count) =>
      new Promise((resolve) => {
        const watch = () => {
          if (bytes < count) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
      }),
    send(message, headers = {}) {
      const body = message === undefined ? '' : JSON.stringify(message);
      const all = {
        host,
        authorization: `Bearer ${key}`,
        accept: 'application/json, text/event-stream',
        ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
        ...headers,
      };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
      socket.write(`${body ? 'POST' : 'GET'} ${pathname} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
    },
  };
}

/** A call of the tool `read_doc`. */
export function toolCall(id: number | string = 1, args: object = {}): object {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'read_doc', arguments: args } };
}

/** What a server answers it. */
export function toolResult(id: number | string = 1, text = 'fine'): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
}
