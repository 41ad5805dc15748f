import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FAULT_ROWS } from './reliability/fault-matrix.ts';
import { DOCUMENT, OPERATIONS } from './support/openapi.ts';

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

  test('has each code that only the gateway answers with in a table of its own', () => {
    const [, table = ''] = /^## Codes of the gateway only$(.+)/ms.exec(read('docs/errors.md')) ?? [];
    const described = [...table.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code as string);
    const general = membersOf('src/errors.ts', 'ErrorCode');
    const own = membersOf('src/mcp/refusal.ts', 'RefusalCode').filter((code) => !general.includes(code));
    expect(described.sort()).toEqual([...own, 'login_renewed'].sort());
  });

  test('has a section for each state of a connection', () => {
    const states = membersOf('src/core/connection.ts', 'ConnectionState');
    expect(states.length).toBe(7);
    for (const state of states) expect(headings).toContain(`State \`${state}\``);
  });
});

describe('the table of connection codes in docs/errors.md', () => {
  const [table = ''] = /^## Codes of a connection$.+?^## /ms.exec(read('docs/errors.md')) ?? [];
  const described = [...table.matchAll(/^\| (.+?) \| (.+?) \|.*$/gm)].map(
    ([line, codes = '', states = '']) => ({
      codes: [...codes.matchAll(/`([a-z_0-9]+)`/g)].map(([, code = '']) => code),
      states,
      cells: line.split(' | ').length,
    }),
  );

  test('gives cause, remedy and what to alert on for each', () => {
    expect(described.length).toBeGreaterThan(10);
    expect(described.filter(({ cells }) => cells !== 5)).toEqual([]);
  });

  /** Told in words: statuses, and what a server invents. */
  const IN_WORDS = /^http_\d+$|^bad_refresh_token$/;

  test('has every code a refresh can end with in the fault matrix, with its state', () => {
    // What an operator told of a server's own words is in the table in words too.
    const rows = FAULT_ROWS.filter(({ deadTokenErrors }) => deadTokenErrors === undefined);
    const seen = rows.flatMap(({ code, state }) =>
      (code?.source.match(/[a-z]+(_[a-z\d]+)*/g) ?? []).map(
        (each) => [each.replace('_not_json', ''), state] as const,
      ),
    );
    expect(seen.length).toBeGreaterThan(30);
    const missing = seen.filter(
      ([code, state]) =>
        !IN_WORDS.test(code) &&
        !described.some(({ codes, states }) => codes.includes(code) && states.includes(state)),
    );
    expect(missing).toEqual([]);
  });

  test('has every code the broker makes itself', () => {
    const codes = described.flatMap((row) => row.codes);
    for (const code of ['no_refresh_token', 'unanswered', 'unsupported_token_type'])
      expect(codes).toContain(code);
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
  test('has a heading for each operation of /openapi.json, and for none that is not there', () => {
    const headings = [...read('docs/api.md').matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading);
    const described = headings.flatMap((heading) =>
      [...heading.matchAll(/`([A-Z]+ \/[^`]*)`/g)].map(([, route = '']) => route),
    );
    const operations = OPERATIONS.map(({ title }) => title);
    expect(described.length).toBeGreaterThan(18);
    expect(described.sort()).toEqual(operations.sort());
  });
});

describe('/openapi.json', () => {
  test('has each code that only the gateway answers with', () => {
    const { GatewayError } = DOCUMENT.components.schemas;
    const text = JSON.stringify(GatewayError);
    const codes = membersOf('src/mcp/refusal.ts', 'RefusalCode');
    expect(codes.length).toBeGreaterThan(3);
    for (const code of [...codes, 'cancelled', 'login_renewed']) expect(text).toContain(`"${code}"`);
  });
});
