/**
 * `/v1/logins`: an agent with the admin right connects the people it serves. It gets a link for each, asks how it
 * went, and takes it back; what they bring back goes to `/oauth/callback`, past the agent.
 */
import express, { Router } from 'express';
import { z } from 'zod';
import type { Broker } from '../broker/index.ts';
import { callerOf } from './authenticate.ts';
import { asBadRequest, BODY_LIMIT, parse, requireJson } from './connections.ts';

/** Longer than any name, scope or URL that makes sense. */
const Words = z.string().min(1).max(2048);

/** The body of `POST /v1/logins`. */
export const NewLogin = z.strictObject({
  server: Words,
  name: Words.optional(),
  account: Words.optional(),
  /** Space separated, as everywhere in OAuth. */
  scope: Words.optional(),
  expected_account: Words.optional(),
  reregister: z.boolean().optional(),
});

/**
 * The routes below `/v1/logins`.
 *
 * @param callbackUri where browsers come back; undefined: nowhere
 */
export function loginRoutes(broker: Broker, callbackUri: () => string | undefined): Router {
  const router = Router();

  router.post('/', requireJson, express.json({ limit: BODY_LIMIT }), async (request, response) => {
    const { server, scope, expected_account, ...wanted } = parse(NewLogin, request.body ?? {});
    const begun = await broker.webLogins
      .begin(callerOf(response), {
        ...{ ...wanted, target: server, expectedAccount: expected_account, redirectUri: callbackUri() },
        scopes: scope?.split(/\s+/).filter(Boolean),
      })
      .catch((error: unknown) => {
        throw asBadRequest(error);
      });
    response.status(201).location(`/v1/logins/${begun.id}`).json(begun);
  });

  router.get('/', async (_request, response) => {
    response.json({ logins: await broker.webLogins.list(callerOf(response)) });
  });

  router.get('/:id', async (request, response) => {
    response.json(await broker.webLogins.show(callerOf(response), request.params.id));
  });

  router.delete('/:id', async (request, response) => {
    await broker.webLogins.cancel(callerOf(response), request.params.id);
    response.status(204).end();
  });

  return router;
}
