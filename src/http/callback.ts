/**
 * `/oauth/callback`: where a person's browser comes back to. It has no key; the `state` it brings is the credential.
 *
 * Only a page that is opened as such counts. A look ahead (HEAD) or a picture on somebody's page must not spend a code;
 * a script's call has an `Origin` and was refused before.
 */
import type { RequestHandler } from 'express';
import type { Broker } from '../broker/index.ts';
import { BrokerError } from '../errors.ts';

/** @param callbackUri where browsers were told to come; undefined: nowhere */
export function callbackRoute(broker: Broker, callbackUri: () => string | undefined): RequestHandler {
  return async (request, response, next) => {
    if (request.method !== 'GET') return next();
    const destination = request.headers['sec-fetch-dest'];
    if (destination !== undefined && destination !== 'document') {
      throw new BrokerError('forbidden', 'a login comes back as a page of its own, not as part of another', {
        hint: 'open the link of the login in a tab',
      });
    }
    // Not request.query: it makes lists and objects of what is given twice.
    const query = request.originalUrl.split('?').slice(1).join('?');
    const answer = await broker.webLogins.finish(callbackUri(), new URLSearchParams(query));
    response.status(answer.status).set(answer.headers).end(answer.html);
  };
}
