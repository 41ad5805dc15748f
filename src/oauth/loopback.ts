/**
 * The listener that receives the browser after the person signed in (RFC 8252 §7.3).
 *
 * It answers the browser only when the login has come to an end, so that the page tells the truth. Whatever is
 * not the answer to our question gets a page of its own and changes nothing.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { LoopbackHost } from '../core/redirect.ts';
import { CALLBACK_PAGE_HEADERS, type CallbackPage, renderCallbackPage } from './callback-page.ts';
import { closeNow, listenOnAll } from './loopback-sockets.ts';

const CALLBACK_PATH = '/callback';

/** Where a host is found. Browsers choose freely between the two of `localhost`, so we have to be at both. */
const ADDRESSES: Record<LoopbackHost, readonly string[]> = {
  '127.0.0.1': ['127.0.0.1'],
  '[::1]': ['::1'],
  localhost: ['127.0.0.1', '::1'],
};

export interface CallbackPlace {
  /** Default `127.0.0.1`. */
  host?: LoopbackHost;
  /** 0 draws a free one, for a first registration. */
  port: number;
  /** As a browser sends it. Default `/callback`. */
  path?: string;
}

export interface Arrival {
  /** Query of the redirect. */
  parameters: URLSearchParams;
  /** Shows the person how it ended. To be called once for every arrival. */
  answer(page: CallbackPage): void;
}

export interface LoopbackListener {
  /** `http://<host>:<port><path>`. */
  redirectUri: string;
  /** Called for each browser that comes to the callback path. */
  onArrival(handler: (arrival: Arrival) => void): void;
  /** Stops listening; pages already being sent are finished. */
  close(): Promise<void>;
}

/**
 * Listens for browsers. For `localhost` that is 127.0.0.1 and ::1 at the same port, or 127.0.0.1 alone where the
 * machine has no IPv6.
 *
 * Throws `port_in_use`, also when somebody else has the port on only one of the two.
 */
export async function listenForCallback({
  host = '127.0.0.1',
  port: wishedPort,
  path = CALLBACK_PATH,
}: CallbackPlace): Promise<LoopbackListener> {
  let handler: ((arrival: Arrival) => void) | undefined;
  const early: Arrival[] = [];
  const pages: Promise<unknown>[] = [];
  const receive = (request: IncomingMessage, response: ServerResponse) => {
    const url = URL.parse(request.url ?? '/', 'http://127.0.0.1');
    if (request.method !== 'GET' || url?.pathname !== path) {
      response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' }).end('not found\n');
      return;
    }
    const arrival = {
      parameters: url.searchParams,
      answer(page: CallbackPage) {
        if (!response.closed) pages.push(once(response, 'close'));
        send(response, page);
      },
    };
    if (handler) handler(arrival);
    else early.push(arrival);
  };
  const { port, servers } = await listenOnAll(ADDRESSES[host], wishedPort, () => createServer(receive));
  return {
    redirectUri: `http://${host}:${port}${path}`,
    onArrival(given) {
      handler = given;
      for (const arrival of early.splice(0)) given(arrival);
    },
    async close() {
      await Promise.all(pages);
      // Browsers open spare connections that never carry a request.
      await Promise.all(servers.map(closeNow));
    },
  };
}

function send(response: ServerResponse, page: CallbackPage): void {
  response.writeHead(page.isSuccess ? 200 : 400, CALLBACK_PAGE_HEADERS).end(renderCallbackPage(page));
}
