/** How the faults look on the wire, whichever server they happen to. */
import type { ServerResponse } from 'node:http';
import type { FaultAct } from './hostile-faults.ts';
import type { TokenEndpointAnswer } from './hostile-grants.ts';

/** Time between two bytes of a slow answer: often enough that no idle timeout ends it. */
const DRIP_MS = 20;

/** A fault that happens while a request is there, and not to the listener or the metadata. */
export type RequestAct = Exclude<FaultAct, { kind: 'closed' | 'moved' }>;

/** Longer than the 1 MiB a client should read. */
const FLOOD_BYTES = 1024 * 1024 + 1;

/** Whether the server's own answer left whole and readable. */
export type Delivery = 'delivered' | 'withheld';

/** The server behind a faulty answer. */
export interface Wire {
  now(): number;
  /** Resolves when the test lets held requests go on. */
  hold(): Promise<void>;
}

/** Sends JSON as a token endpoint should (RFC 6749 §5.1). Fields that are undefined are left out. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  contentType = 'application/json',
): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

/** Does `act` to the answer the server decided on, and says whether that reached the client whole. */
export async function sendUnderFault(
  response: ServerResponse,
  act: RequestAct,
  decide: () => Promise<TokenEndpointAnswer>,
  wire: Wire,
): Promise<Delivery> {
  switch (act.kind) {
    case 'answer': {
      const { status, headers, body = '' } = act;
      const isJson = typeof body === 'object';
      response.writeHead(status, {
        ...(isJson ? { 'content-type': 'application/json' } : {}),
        ...headers?.(wire.now()),
      });
      response.end(isJson ? JSON.stringify(body) : body);
      return 'withheld';
    }
    case 'change': {
      const { status, body } = await decide();
      const isChanged = status === 200;
      sendJson(response, status, isChanged ? act.change(body) : body, act.contentType);
      return 'delivered';
    }
    case 'reset':
      response.socket?.resetAndDestroy();
      return 'withheld';
    case 'hold': {
      await wire.hold();
      if (response.destroyed) return 'withheld';
      const { status, body } = await decide();
      sendJson(response, status, body);
      return 'delivered';
    }
    case 'drip':
      drip(response, await decide());
      void wire.hold();
      return 'withheld';
    case 'flood': {
      const { status, body } = await decide();
      sendJson(response, status, { padding: 'x'.repeat(FLOOD_BYTES), ...body });
      return 'withheld';
    }
    case 'truncate': {
      const { status, body } = await decide();
      const text = JSON.stringify(body);
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
      response.write(text.slice(0, text.length / 2), () => response.destroy());
      return 'withheld';
    }
  }
}

/** Ends when the client has enough of it; the last byte never comes. */
function drip(response: ServerResponse, { status, body }: TokenEndpointAnswer): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
  let sent = 0;
  const timer = setInterval(() => {
    response.write(text.charAt(sent));
    sent += 1;
    if (sent === text.length - 1) clearInterval(timer);
  }, DRIP_MS);
  response.once('close', () => clearInterval(timer));
}
