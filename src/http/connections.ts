/** `/v1/connections`: what an agent may use, its tokens, and how it is doing. */
import express, { type NextFunction, type Request, type Response, Router } from 'express';
import { z } from 'zod';
import type { AskProgram } from '../broker/check-probe.ts';
import { toHeadersView } from '../broker/headers.ts';
import type { Broker } from '../broker/index.ts';
import { toTokenView } from '../broker/token-view.ts';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { callerOf } from './authenticate.ts';

/** Requests are a few numbers; anything larger is a mistake. */
export const BODY_LIMIT = '16kb';

const Seconds = z.int().min(0).max(31_536_000);
/** In a query all is text. */
const TokenQuery = z.strictObject({ min_ttl: z.coerce.number().pipe(Seconds).optional() });
const TokenBody = z.strictObject({
  min_ttl: Seconds.optional(),
  rejected_generation: z.int().min(0).optional(),
});
const CheckBody = z.strictObject({
  refresh: z.boolean().optional(),
  probe: z.boolean().optional(),
  warn_within: Seconds.optional(),
});

export { CheckBody, TokenBody, TokenQuery };

/** The routes below `/v1/connections`. */
export function connectionRoutes(broker: Broker, clock: Clock, askProgram: AskProgram): Router {
  const router = Router();
  const json = express.json({ limit: BODY_LIMIT });

  router.get('/', async (_request, response) => {
    response.json({ connections: await broker.list(callerOf(response)) });
  });

  router.get('/:name', async (request, response) => {
    response.json(await broker.show(callerOf(response), request.params.name));
  });

  router.delete('/:name', async (request, response) => {
    const name = request.params.name;
    const gone = await broker.logout(callerOf(response), name).catch((error: unknown) => {
      throw asBadRequest(error);
    });
    response.json(gone);
  });

  router.get('/:name/token', async (request, response) => {
    const { min_ttl } = parse(TokenQuery, request.query);
    const token = await broker.token(callerOf(response), request.params.name, { minTtlSeconds: min_ttl });
    response.json(toTokenView(token, clock.now()));
  });

  router.post('/:name/token', requireJson, json, async (request: Request<{ name: string }>, response) => {
    const { min_ttl, rejected_generation } = parse(TokenBody, request.body ?? {});
    const query = { minTtlSeconds: min_ttl, rejectedGeneration: rejected_generation };
    const token = await broker.token(callerOf(response), request.params.name, query);
    response.json(toTokenView(token, clock.now()));
  });

  router.get('/:name/headers', async (request, response) => {
    const { min_ttl } = parse(TokenQuery, request.query);
    const { headers } = await broker.headers(callerOf(response), request.params.name, {
      minTtlSeconds: min_ttl,
    });
    response.json(toHeadersView(headers));
  });

  router.post('/:name/check', requireJson, json, async (request: Request<{ name: string }>, response) => {
    const { refresh, probe, warn_within } = parse(CheckBody, request.body ?? {});
    const warnWithinMs = warn_within === undefined ? undefined : warn_within * 1000;
    const options = { refresh, probe: probe ? askProgram : undefined, warnWithinMs };
    response.json(await broker.check(callerOf(response), request.params.name, options));
  });

  return router;
}

/** A body of another type would be passed over in silence, and with it what the caller wanted. */
export function requireJson<P>(request: Request<P>, _response: Response, next: NextFunction): void {
  if (request.headers['content-length'] !== '0' && request.is('json') === false) {
    throw new BrokerError('bad_request', 'the body is not declared as JSON', {
      hint: 'send it with: Content-Type: application/json',
    });
  }
  next();
}

/** Throws `bad_request` naming the field. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field =
    issue?.path.join('.') || (issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : 'the body');
  throw new BrokerError('bad_request', `${field}: ${issue?.message ?? 'not valid'}`, {
    hint: 'docs/api.md lists the fields of this route',
  });
}

/** What is wrong use on a command line is a bad request here. */
export function asBadRequest(error: unknown): unknown {
  if (!(error instanceof BrokerError) || error.code !== 'usage') return error;
  const { message, hint, connection } = error;
  return new BrokerError('bad_request', message, { hint, connection, cause: error });
}
