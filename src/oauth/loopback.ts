/**
 * The listener that receives the browser after the person signed in (RFC 8252 §7.3).
 *
 * It answers the browser only when the login has come to an end, so that the page tells the truth. Whatever is
 * not the answer to our question gets a page of its own and changes nothing.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BrokerError, systemCode } from '../errors.ts';
import { CALLBACK_PAGE_HEADERS, type CallbackPage, renderCallbackPage } from './callback-page.ts';

export const CALLBACK_PATH = '/callback';

export interface Arrival {
  /** Query of the redirect. */
  parameters: URLSearchParams;
  /** Shows the person how it ended. To be called once for every arrival. */
  answer(page: CallbackPage): void;
}

export interface LoopbackListener {
  redirectUri: string;
  /** Called for each browser that comes to the callback path. */
  onArrival(handler: (arrival: Arrival) => void): void;
  /** Stops listening; pages already being sent are finished. */
  close(): Promise<void>;
}

/**
 * Listens on 127.0.0.1.
 *
 * @param port 0 draws a free one, for a first registration
 * Throws `port_in_use`.
 */
export async function listenForCallback(port: number): Promise<LoopbackListener> {
  let handler: ((arrival: Arrival) => void) | undefined;
  const early: Arrival[] = [];
  const pages: Promise<unknown>[] = [];
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? '/', 'http://127.0.0.1');
    if (request.method !== 'GET' || url?.pathname !== CALLBACK_PATH) {
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
  });
  server.listen({ host: '127.0.0.1', port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new BrokerError('port_in_use', `the callback port ${port} cannot be used (${systemCode(error)})`, {
      hint:
        'another login may be waiting there: finish or stop it\n' +
        'or choose another port with --callback-port (the broker then registers anew)',
      cause: error,
    });
  }
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}${CALLBACK_PATH}`,
    onArrival(given) {
      handler = given;
      for (const arrival of early.splice(0)) given(arrival);
    },
    async close() {
      await Promise.all(pages);
      const closed = once(server, 'close');
      server.close();
      // Browsers open spare connections that never carry a request.
      server.closeAllConnections();
      await closed;
    },
  };
}

function send(response: ServerResponse, page: CallbackPage): void {
  response.writeHead(page.isSuccess ? 200 : 400, CALLBACK_PAGE_HEADERS).end(renderCallbackPage(page));
}
