/** Who calls: the agent of the key in `Authorization: Bearer`. */
import type { IncomingMessage } from 'node:http';
import type { RequestHandler, Response } from 'express';
import type { Caller } from '../broker/context.ts';
import type { Broker } from '../broker/index.ts';
import { addressOf } from '../core/address.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';

const BEARER = /^Bearer +(\S+)$/i;

/** Lets only known agents pass, and remembers which one it is. */
export function authenticate(broker: Broker): RequestHandler {
  return async (request, response, next) => {
    response.locals.caller = await callerFrom(broker, request);
    next();
  };
}

/** The agent of the key in the headers. Throws `unauthenticated`, `rate_limited`. */
export async function callerFrom({ agents }: Broker, request: IncomingMessage): Promise<Caller> {
  const { authorization } = request.headers;
  const address = peerOf(request);
  const key = BEARER.exec(authorization ?? '')?.[1];
  if (key === undefined) {
    await agents.refuse(authorization === undefined ? 'missing' : 'malformed', address);
    throw new BrokerError('unauthenticated', 'no agent key was sent', {
      hint: 'send it as: Authorization: Bearer mtb_…',
    });
  }
  return { kind: 'agent', agent: await agents.authenticate(new Secret(key), address) };
}

/** Who is at the other end of the socket. What headers say of it anybody can write. */
export function peerOf({ socket }: Pick<IncomingMessage, 'socket'>): string {
  return addressOf(socket.remoteAddress);
}

/** The caller `authenticate` found. */
export function callerOf(response: Response): Caller {
  return response.locals.caller as Caller;
}
