/** Who calls: the agent of the key in `Authorization: Bearer`. */
import type { IncomingHttpHeaders } from 'node:http';
import type { RequestHandler, Response } from 'express';
import type { Caller } from '../broker/context.ts';
import type { Broker } from '../broker/index.ts';
import { BrokerError } from '../errors.ts';
import { Secret } from '../secret.ts';

const BEARER = /^Bearer +(\S+)$/i;

/** Lets only known agents pass, and remembers which one it is. */
export function authenticate(broker: Broker): RequestHandler {
  return async (request, response, next) => {
    response.locals.caller = await callerFrom(broker, request.headers);
    next();
  };
}

/** The agent of the key in these headers. Throws `unauthenticated`, `rate_limited`. */
export async function callerFrom(broker: Broker, { authorization }: IncomingHttpHeaders): Promise<Caller> {
  const key = BEARER.exec(authorization ?? '')?.[1];
  if (key === undefined) {
    throw new BrokerError('unauthenticated', 'no agent key was sent', {
      hint: 'send it as: Authorization: Bearer mtb_…',
    });
  }
  return { kind: 'agent', agent: await broker.agents.authenticate(new Secret(key)) };
}

/** The caller `authenticate` found. */
export function callerOf(response: Response): Caller {
  return response.locals.caller as Caller;
}
