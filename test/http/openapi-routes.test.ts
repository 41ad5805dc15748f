/** The document and the routes of the daemon, both ways. */
import { describe, expect, it } from 'vitest';
import { createPrometheus } from '../../src/broker/prometheus.ts';
import { createApp } from '../../src/http/app.ts';
import { createLog } from '../../src/log.ts';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';
import { OPERATIONS, operationFor } from '../support/openapi.ts';

let test: TestDaemon;

shareDaemon((daemon) => {
  test = daemon;
});

/** Nobody signs in there: it says so, and is in the metadata because clients demand it. */
const ONLY_REFUSES = ['/oauth/authorize'];

/** A pattern of express that takes more than it answers, and what it answers. */
const NARROWER: Record<string, string> = {
  '/.well-known/oauth-authorization-server/*path': '/.well-known/oauth-authorization-server/oauth',
};

/** Methods of a route for all of them. */
const OF_ALL = ['GET', 'POST', 'DELETE'];

/** A router as express 5.3 lists it; the types do not know that yet. */
interface Listed {
  listRoutes(): { path: string; methods?: string[]; router?: Listed }[];
}

/** As the document writes them, such as `GET /v1/connections/{name}`. */
function routesOf(router: Listed, base = ''): string[] {
  return router.listRoutes().flatMap(({ path, methods, router: inner }) => {
    const whole = `${base}${path}`.replace(/(?<=.)\/$/, '');
    if (inner) return routesOf(inner, whole === '/' ? '' : whole);
    if (ONLY_REFUSES.includes(whole)) return [];
    const place = (NARROWER[whole] ?? whole).replace(/:(\w+)/g, '{$1}');
    const wanted = methods?.includes('ACL') ? OF_ALL : (methods ?? []).filter((each) => each !== 'HEAD');
    return wanted.map((method) => `${method} ${place}`);
  });
}

const router = () =>
  createApp({
    broker: test.broker,
    clock: test.world.clock,
    log: createLog('silent'),
    hosts: undefined,
    origins: new Set(),
    baseUrl: test.url,
    callbackUri: () => undefined,
    gateway: async () => {},
    askProgram: async () => {
      throw new Error('nobody asks');
    },
    prometheus: createPrometheus({ version: '0', ofProcess: false }),
  }).router as unknown as Listed & { stack: { rawPath: string }[] };

describe('the document and the routes', () => {
  it('are the same', () => {
    const documented = OPERATIONS.map(({ title }) => title);
    expect(routesOf(router()).sort()).toEqual(documented.sort());
  });

  it('leave out nothing that answers without being a route', () => {
    const routed = router()
      .listRoutes()
      .map(({ path }) => path);
    const places = router()
      .stack.map(({ rawPath }) => rawPath)
      .filter((path) => path !== '/');
    expect(places.length).toBeGreaterThan(6);
    expect(places.filter((path) => !routed.includes(path))).toEqual([]);
  });

  it.each(OPERATIONS)('have $title in the daemon itself', async ({ method, path, title }) => {
    const place = path.replace('{name}', 'demo').replace('{id}', 'any');
    const accept = 'application/json, text/event-stream';
    const { status, json } = await test.call(place, { method, headers: { accept } });
    expect(status).toBeGreaterThan(0);
    expect(json?.detail ?? '').not.toMatch(/^there is no [A-Z]+ \//);
    expect(operationFor(method, place)?.title).toBe(title);
  });
});
