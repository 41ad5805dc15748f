import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { routeOf } from '../../src/http/route-pattern.ts';

describe('the pattern of a path', () => {
  it.each([
    ['/mcp/coda', '/mcp/{name}'],
    ['/mcp/coda%40alice/', '/mcp/{name}'],
    ['/v1/connections', '/v1/connections'],
    ['/v1/connections/coda', '/v1/connections/{name}'],
    ['/v1/connections/coda/token', '/v1/connections/{name}/token'],
    ['/v1/logins/4711', '/v1/logins/{id}'],
    ['/metrics', '/metrics'],
    ['/.well-known/oauth-authorization-server/oauth', '/.well-known/oauth-authorization-server'],
  ])('of %s is %s', (path, pattern) => expect(routeOf(path)).toBe(pattern));

  it.each([
    '',
    '/',
    '/v1',
    '/v1/connections/a/b',
    '/v1/connections/a/token/b',
    '/metricsx',
    '/mcp',
    '/mcp/a/b',
    '*',
    '/$1',
  ])('of %j is other, so that callers cannot make up series', (path) => expect(routeOf(path)).toBe('other'));

  it.each([
    ['connections', 6],
    ['logins', 4],
  ])('is there for every route of %s', (room, least) => {
    const source = readFileSync(new URL(`../../src/http/${room}.ts`, import.meta.url), 'utf8');
    const routes = [...source.matchAll(/router\.(?:get|post|delete)\(\s*'([^']+)'/g)].map(
      ([, path = '']) => path,
    );
    expect(routes.length).toBeGreaterThanOrEqual(least);
    for (const route of routes) {
      const path = `/v1/${room}${route === '/' ? '' : route}`;
      expect(routeOf(path)).toBe(path.replace(/:(\w+)/, '{$1}'));
    }
  });
});
