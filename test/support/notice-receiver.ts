/** A real HTTP server that webhooks are sent to. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedNotice {
  headers: IncomingHttpHeaders;
  body: string;
  json: {
    type?: string;
    timestamp: string;
    text: string;
    data: Record<string, unknown> & { kind: string; connection: string; level: number; message: string };
  };
}

export interface NoticeReceiver {
  url: string;
  /** All that came, in order; those answered with a failure too. */
  received: ReceivedNotice[];
  /** The next one that comes after those taken before. */
  next(): Promise<ReceivedNotice>;
  /** From now on: the status to answer with, or a promise that holds the answer back. */
  answer(status: number | Promise<number>, headers?: Record<string, string>): void;
  /** The next request alone is answered with this status. */
  failOnce(status: number): void;
  close(): Promise<void>;
}

/** Starts it on a free port. It answers 204. */
export async function startNoticeReceiver(): Promise<NoticeReceiver> {
  const received: ReceivedNotice[] = [];
  const waiting = new Set<() => void>();
  let taken = 0;
  let status: number | Promise<number> = 204;
  let failure: number | undefined;
  let headers: Record<string, string> = {};
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    received.push({ headers: request.headers, body, json: JSON.parse(body) });
    for (const wake of waiting) wake();
    const once = failure;
    failure = undefined;
    response.writeHead(once ?? (await status), headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/fake-path`,
    received,
    async next() {
      while (received.length <= taken) {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.add(resolve);
        await promise;
        waiting.delete(resolve);
      }
      taken += 1;
      return received[taken - 1] as ReceivedNotice;
    },
    answer(next, nextHeaders = {}) {
      status = next;
      headers = nextHeaders;
    },
    failOnce(next) {
      failure = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
