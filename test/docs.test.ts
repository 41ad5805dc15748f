import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** The string members of a union type in a source file. */
function membersOf(path: string, type: string): string[] {
  const [, union = ''] = new RegExp(`export type ${type} =([^;]+);`).exec(read(path)) ?? [];
  return [...union.matchAll(/'([a-z_]+)'/g)].map(([, member]) => member as string);
}

describe('docs/errors.md', () => {
  const headings = new Set(
    [...read('docs/errors.md').matchAll(/^### (.+)$/gm)].map(([, heading]) => heading),
  );

  test('has a section for each error code, and none for codes there are not', () => {
    const codes = membersOf('src/errors.ts', 'ErrorCode');
    expect(codes.length).toBeGreaterThan(20);
    const described = [...headings].filter((heading) => heading?.startsWith('`'));
    expect(described.sort()).toEqual(codes.map((code) => `\`${code}\``).sort());
  });

  test('has a section for each state of a connection', () => {
    const states = membersOf('src/core/connection.ts', 'ConnectionState');
    expect(states.length).toBe(7);
    for (const state of states) expect(headings).toContain(`State \`${state}\``);
  });
});

describe('docs/storage.md', () => {
  test('names every table and, in its part, every column of the migrations', () => {
    const parts = read('docs/storage.md').split(/\n(?=\*\*`)/);
    const missing: string[] = [];
    for (const [, table, body = ''] of read('migrations/0001_initial.sql').matchAll(
      /CREATE TABLE (\w+) \(([^;]+)\);/g,
    )) {
      const part = parts.find((each) => each.split(':')[0]?.includes(`**\`${table}\`**`)) ?? '';
      if (part === '') missing.push(`${table}`);
      const columns = [...body.matchAll(/^ {2}([a-z_]+) (?:TEXT|BIGINT|INTEGER)/gm)].map(
        ([, column]) => column,
      );
      // The columns of the cache are Keyv's own.
      if (table === 'cache') continue;
      missing.push(
        ...columns.filter((column) => !part.includes(`\`${column}\``)).map((column) => `${table}.${column}`),
      );
    }
    expect(missing).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  test('gives a reason for each package, and for none that is not there', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const rows = [...read('docs/dependencies.md').matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    expect(rows.sort()).toEqual(Object.keys({ ...dependencies, ...devDependencies }).sort());
  });
});

describe('docs/api.md', () => {
  test('has a section for each route of the daemon', () => {
    const text = read('docs/api.md');
    const routes = [...read('src/http/connections.ts').matchAll(/router\.(get|post|delete)\('([^']+)'/g)];
    expect(routes.length).toBeGreaterThan(4);
    for (const [, method = '', path = ''] of routes) {
      const route = `${method.toUpperCase()} /v1/connections${path === '/' ? '' : path.replace(':name', '{name}')}`;
      expect(text).toContain(`\`${route}\``);
    }
  });
});
