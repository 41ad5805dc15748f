/** `/openapi.json`: this API as an OpenAPI document, for anybody. */
import type { RequestHandler } from 'express';

/**
 * Made when it is first asked for: a daemon that nobody asks does not pay for it.
 *
 * @param baseUrl URL under which clients reach the listener, without a slash at its end; never taken from a request
 */
export function openApiRoute(baseUrl: string): RequestHandler {
  let text: Promise<string> | undefined;
  return async (_request, response) => {
    text ??= import('./document.ts').then(({ createDocument }) => JSON.stringify(createDocument(baseUrl)));
    response.type('application/json').send(await text);
  };
}
