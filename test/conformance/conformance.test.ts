/** The official MCP conformance suite for clients, against the broker. What is run: scenarios.ts. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCENARIOS } from './scenarios.ts';
import { openSuite, type Suite } from './suite.ts';
import { faultsOf } from './verdict.ts';

let suite: Suite;
beforeAll(async () => {
  suite = await openSuite();
});
afterAll(() => suite.close());

describe.concurrent.each(SCENARIOS)('the conformance scenario $name', ({ name, versions, expected }) => {
  test.each(versions)(`${expected.kind} in MCP %s`, async (version) => {
    const result = await suite.run(name, version);
    expect(faultsOf(expected, result)).toEqual([]);
  });
});

describe('the scenarios', () => {
  test('are all that the suite has for authorization, in all revisions', async () => {
    const offered = [...(await suite.list())].filter(([name]) => name.startsWith('auth/'));
    expect(offered.length).toBeGreaterThan(30);
    const isExtension = (name: string) =>
      offered.some(([each, [first]]) => each === name && first === 'extension');
    const run = SCENARIOS.map(({ name, versions }) => [name, isExtension(name) ? ['extension'] : versions]);
    expect(run).toEqual(offered);
  });

  test('are the rows of docs/conformance.md', () => {
    const text = readFileSync(new URL('../../docs/conformance.md', import.meta.url), 'utf8');
    const rows = [...text.matchAll(/^\| `(auth\/[^`]+)` \| ([^|]+) \|/gm)];
    const listed = rows.map(([, name, versions = '']) => [name, versions.split(', ')]);
    expect(listed).toEqual(SCENARIOS.map(({ name, versions }) => [name, versions]));
  });
});
