import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, describe, expect, it } from 'vitest';
import type { DaemonOptions } from '../../src/daemon.ts';
import { createDocument } from '../../src/http/openapi/document.ts';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { createHome } from '../support/home.ts';
import { call } from '../support/http-call.ts';
import { DOCUMENT, faultsAt, OPERATIONS, pointer } from '../support/openapi.ts';

/** All parts of a value that are objects, with the way to each. */
function* partsOf(value: unknown, way: string[] = []): Generator<[string[], Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [way, value as Record<string, unknown>];
  for (const [name, each] of Object.entries(value)) yield* partsOf(each, [...way, name]);
}

const parts = [...partsOf(DOCUMENT)];

describe('the document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(DOCUMENT) as never)).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('has one id, a summary and a description for each operation', () => {
    const ids = OPERATIONS.map(({ operation }) => operation.operationId);
    expect(ids.length).toBeGreaterThan(18);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = DOCUMENT.tags.map(({ name }) => name);
    for (const { title, operation } of OPERATIONS) {
      expect([title, operation.summary]).toEqual([title, expect.stringMatching(/^[A-Z].{8,}[^.]$/)]);
      expect([title, operation.description]).toEqual([title, expect.stringMatching(/^[A-Z].{8,}\.$/s)]);
      expect([title, operation.tags]).toEqual([title, [expect.toBeOneOf(tags)]]);
    }
  });

  it('describes each parameter, and has all that a path names', () => {
    for (const { title, path, operation } of OPERATIONS) {
      const { parameters = [] } = operation;
      for (const { name, description } of parameters)
        expect([title, name, description]).toEqual([title, name, expect.stringMatching(/^\S.{4,}\.$/)]);
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const given = parameters.filter((each) => each.in === 'path').map(({ name }) => name);
      expect([title, given]).toEqual([title, named]);
    }
  });

  it('refers only to what it has, and has nothing that nobody refers to', () => {
    const refs = parts.flatMap(([, part]) => (typeof part.$ref === 'string' ? [part.$ref] : []));
    expect(refs.length).toBeGreaterThan(50);
    const { schemas, headers, securitySchemes } = DOCUMENT.components;
    const kept = Object.entries({ schemas, headers }).flatMap(([kind, all]) =>
      Object.keys(all).map((name) => `#/components/${kind}/${name}`),
    );
    expect([...new Set(refs)].sort()).toEqual(kept.sort());
    const used = OPERATIONS.flatMap(({ operation }) => operation.security.flatMap(Object.keys));
    expect([...new Set(used)].sort()).toEqual(Object.keys(securitySchemes).sort());
  });

  it('has examples that fit their schemas, and that nobody takes for secrets', () => {
    const shown = parts.flatMap(([way, part]) =>
      Array.isArray(part.examples) ? part.examples.map((example) => [way, example] as const) : [],
    );
    expect(shown.length).toBeGreaterThan(40);
    for (const [way, example] of shown)
      expect([way.join(' '), faultsAt(pointer(way), example)]).toEqual([way.join(' '), []]);
    expect(JSON.stringify(shown)).not.toMatch(/mtb_\w|eyJ|[A-Za-z0-9_-]{38}/);
  });
});

describe('GET /openapi.json', () => {
  let test: TestDaemon;

  const start = async (options: Partial<DaemonOptions> = {}) => {
    test = await startTestDaemon(options);
  };
  afterEach(() => test.close());

  it('is for anybody, and the document', async () => {
    await start();
    const { status, headers, json } = await call(`${test.url}/openapi.json`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(json).toEqual(JSON.parse(JSON.stringify(createDocument(test.url))));
    const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
    expect(json.info).toMatchObject({ title: 'mcp-token-broker', version });
  });

  it('names the address that listens, whatever a request has for Host', async () => {
    await start({ allowedHosts: ['broker.internal'] });
    const headers = { host: 'broker.internal', 'x-forwarded-host': 'evil.example.com' };
    for (let time = 0; time < 2; time += 1)
      expect((await call(`${test.url}/openapi.json`, { headers })).json.servers).toEqual([
        { url: test.url, description: 'This daemon.' },
      ]);
    const refused = await call(`${test.url}/openapi.json`, { headers: { host: 'evil.example.com' } });
    expect(refused.status).toBe(403);
  });

  it('names each listener by its own address', async () => {
    const home = await createHome();
    const path = join(home.path, 'broker.sock');
    const tcp = { kind: 'tcp' as const, host: '127.0.0.1', port: 0 };
    await start({ addresses: [tcp, { kind: 'unix', path }, tcp] });
    const [one = '', , another = ''] = test.daemon.urls;
    const urls = [`${one}/openapi.json`, `unix:${path} /openapi.json`, `${another}/openapi.json`];
    const documents = await Promise.all(urls.map(async (url) => (await call(url)).json));
    expect(documents.map(({ servers }) => servers)).toMatchObject([
      [{ url: one }],
      [{ url: 'http://localhost' }],
      [{ url: another }],
    ]);
    await home.remove();
  });

  it('names the public URL where there is one', async () => {
    await start({ publicUrl: 'https://broker.example.com/base/' });
    expect((await call(`${test.url}/openapi.json`)).json.servers).toMatchObject([
      { url: 'https://broker.example.com/base' },
    ]);
  });
});
