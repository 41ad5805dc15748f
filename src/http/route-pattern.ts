/** Paths as patterns, so that counts by route stay few, whatever callers ask for. */

const ROUTES: readonly [RegExp, string][] = [
  [/^\/mcp\/[^/]+\/?$/, '/mcp/{name}'],
  [/^\/v1\/connections\/?$/, '/v1/connections'],
  [/^\/v1\/connections\/[^/]+\/?$/, '/v1/connections/{name}'],
  [/^\/v1\/connections\/[^/]+\/(token|headers|check)\/?$/, '/v1/connections/{name}/$1'],
  [/^\/v1\/logins\/?$/, '/v1/logins'],
  [/^\/v1\/logins\/[^/]+\/?$/, '/v1/logins/{id}'],
  [/^\/(healthz|readyz|metrics|openapi\.json)\/?$/, '/$1'],
  [/^\/oauth\/(token|authorize|callback)\/?$/, '/oauth/$1'],
  [/^\/\.well-known\/oauth-authorization-server\/.*$/, '/.well-known/oauth-authorization-server'],
];

/** Of all paths that are nothing here. */
const OTHER = 'other';

/** The pattern of a path without its query. */
export function routeOf(path: string): string {
  const found = ROUTES.find(([pattern]) => pattern.test(path));
  return found ? path.replace(...found) : OTHER;
}
