/**
 * `/mcp/{connection}`: the way to the gateway. It is tried before express, which would cost more than most calls; the
 * checks are the same as everywhere.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../broker/context.ts';
import type { Broker } from '../broker/index.ts';
import type { Log } from '../log.ts';
import { callerFrom } from './authenticate.ts';
import { type GuardOptions, requireLocal } from './guard.ts';
import { sendProblem } from './problem.ts';

/** Answers one request of an agent to the MCP server of a connection. Never rejects. */
export type GatewayHandler = (
  caller: Caller,
  connection: string,
  request: IncomingMessage,
  response: ServerResponse,
) => Promise<void>;

export interface GatewayRouteOptions extends GuardOptions {
  broker: Broker;
  log: Log;
  gateway: GatewayHandler;
}

/** Only names that need no decoding; whatever else begins like this is for express to understand. */
const PATH = /^\/mcp\/([A-Za-z0-9._+@-]+)\/?$/;

/** Answers the request and returns true, or false when it is for somebody else. */
export function gatewayRoute({
  broker,
  log,
  gateway,
  ...guard
}: GatewayRouteOptions): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const connection = PATH.exec(request.url ?? '')?.[1];
    if (connection === undefined) return false;
    void answer(connection, request, response);
    return true;
  };

  async function answer(
    connection: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    let caller: Caller;
    try {
      requireLocal(request.headers, guard);
      caller = await callerFrom(broker, request);
    } catch (error) {
      sendProblem(request, response, error, log);
      return;
    }
    await gateway(caller, connection, request, response);
  }
}
