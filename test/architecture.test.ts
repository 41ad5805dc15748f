import { isBuiltin } from 'node:module';
import { describe, expect, it } from 'vitest';
import { describeSource, readSourceFiles, type SourceFile } from './support/source-files.ts';

/** DESIGN §3, from the ground up. Rooms on one floor stand side by side and do not know each other. */
const FLOORS = [
  // What agents install beside the ground of the broker: neither knows the other.
  ['ground', 'client'],
  ['core'],
  ['oauth', 'vault'],
  ['broker'],
  ['http', 'mcp'],
  ['daemon.ts'],
  ['cli'],
];
const GROUND = [
  ...['errors.ts', 'clock.ts', 'log.ts', 'config.ts', 'secret.ts', 'steps.ts'],
  ...['metrics.ts', 'redact.ts', 'request-context.ts', 'variables.ts', 'certificates.ts'],
];

/** Enough for about 250 lines and a docstring more. */
const MAX_LINES = 260;

const files = readSourceFiles();

describe('the house', () => {
  it('has every file on a floor', () => {
    expect(files.length).toBeGreaterThan(40);
    expect(files.filter(({ path }) => floorOf(path) === -1).map(({ path }) => path)).toEqual([]);
  });

  it('imports no code from outside', () => {
    const outside = arrows(files).filter(([, to]) => to.startsWith('..') && to.endsWith('.ts'));
    expect(outside).toEqual([]);
  });

  it('imports only from lower floors or its own room', () => {
    expect(upwardImports(files)).toEqual([]);
  });

  it('has no circles', () => {
    expect(circles(files)).toEqual([]);
  });

  it.each(['http', 'mcp', 'cli'])('%s reaches secrets and providers only through broker', (room) => {
    const reached = arrows(files).filter(
      ([from, to]) => roomOf(from) === room && ['oauth', 'vault'].includes(roomOf(to)),
    );
    expect(reached).toEqual([]);
  });

  it('presents refresh tokens from one place only', () => {
    const users = arrows(files).filter(([, to]) => to === 'oauth/refresh.ts');
    expect(users).toEqual([['broker/refresh.ts', 'oauth/refresh.ts']]);
  });

  it('keeps the client library to itself: it imports modules of Node only, and nobody here imports it', () => {
    const own = arrows(files).filter(([from, to]) => [roomOf(from), roomOf(to)].includes('client'));
    expect(own.length).toBeGreaterThan(8);
    const others = own.filter(([from, to]) => {
      const isWithin = roomOf(from) === 'client' && roomOf(to) === 'client';
      return !isWithin && !(roomOf(from) === 'client' && isBuiltin(to) && to.startsWith('node:'));
    });
    expect(others).toEqual([]);
  });

  it('reads the environment in config.ts only, and in the settings of the client library', () => {
    const readers = files.filter(({ code }) =>
      /\bprocess\s*(\.|\?\.)\s*env\b|\bprocess\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/.test(code),
    );
    expect(readers.map(({ path }) => path)).toEqual(['client/settings.ts', 'config.ts']);
  });

  it('keeps files short enough to read in one sitting', () => {
    const long = files.filter(({ lineCount }) => lineCount > MAX_LINES);
    expect(long.map(({ path, lineCount }) => `${path}: ${lineCount} lines`)).toEqual([]);
  });

  it('names nothing utils, helpers or manager', () => {
    const banned = files.filter(({ path }) => /\b(utils?|helpers?|managers?)\b/i.test(path));
    expect(banned.map(({ path }) => path)).toEqual([]);
  });
});

describe('core', () => {
  const core = files.filter(({ path }) => roomOf(path) === 'core');

  it('imports errors, secrets and itself, no module of Node and no package', () => {
    const others = arrows(core).filter(
      ([, to]) => roomOf(to) !== 'core' && to !== 'errors.ts' && to !== 'secret.ts',
    );
    expect(others).toEqual([]);
  });

  it('has no clock, no chance, no process and no I/O', () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bcrypto\b|\bprocess\b|\bfetch\(|\bset(Timeout|Interval|Immediate)\b/;
    expect(core.filter(({ code }) => impure.test(code)).map(({ path }) => path)).toEqual([]);
  });

  it('has no `this`', () => {
    expect(core.filter(({ code }) => /\bthis\./.test(code)).map(({ path }) => path)).toEqual([]);
  });
});

describe('the reader of imports', () => {
  it('sees every form of import, and none in a comment', () => {
    const text = `
import { a } from './a.ts';
import type { B } from '../b.ts';
import {
  type C,
  d,
} from "../core/c.ts";
import './e.ts';
export { f } from './f.ts';
export type * from './g.ts';
const h = await import('./h.ts');
let i: import('./i.ts').I;
import fs from 'node:fs';
/** import { no } from './never.ts'; */
// import './never.ts';
const url = 'https://as.example.com'; // import('./never.ts')
`;
    expect(describeSource('vault/x.ts', text).imports.sort()).toEqual(
      ['a', 'e', 'f', 'g', 'h', 'i']
        .map((name) => `vault/${name}.ts`)
        .concat(['b.ts', 'core/c.ts', 'node:fs'])
        .sort(),
    );
  });

  it.each([
    ['upwards', 'core/x.ts', '../vault/seal.ts'],
    ['into the room next door', 'oauth/x.ts', '../vault/seal.ts'],
    ['from the ground', 'clock.ts', './core/names.ts'],
    ['into the daemon', 'http/x.ts', '../daemon.ts'],
    ['into a room nobody knows', 'core/x.ts', '../attic/x.ts'],
  ])('finds an import %s', (_, path, specifier) => {
    expect(upwardImports([describeSource(path, `import type { X } from '${specifier}';`)])).toHaveLength(1);
  });

  it.each([
    ['down', 'cli/x.ts', '../daemon.ts'],
    ['to the ground', 'oauth/http.ts', '../config.ts'],
    ['within the ground', 'config.ts', './secret.ts'],
  ])('allows an import %s', (_, path, specifier) => {
    expect(upwardImports([describeSource(path, `import type { X } from '${specifier}';`)])).toEqual([]);
  });

  it('finds a circle through three files', () => {
    const ring = [
      describeSource('core/a.ts', "import './b.ts';"),
      describeSource('core/b.ts', "import './c.ts';"),
      describeSource('core/c.ts', "import './a.ts';"),
    ];
    expect(circles(ring)).toEqual(['core/a.ts > core/b.ts > core/c.ts > core/a.ts']);
  });
});

function roomOf(path: string): string {
  return GROUND.includes(path) ? 'ground' : (path.split('/')[0] as string);
}

/** -1 for a file on no floor. */
function floorOf(path: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(roomOf(path)));
}

function arrows(sources: SourceFile[]): [string, string][] {
  return sources.flatMap(({ path, imports }) => imports.map((to): [string, string] => [path, to]));
}

function upwardImports(sources: SourceFile[]): [string, string][] {
  return arrows(sources).filter(
    ([from, to]) =>
      to.endsWith('.ts') &&
      roomOf(from) !== roomOf(to) &&
      (floorOf(to) === -1 || floorOf(to) >= floorOf(from)),
  );
}

function circles(sources: SourceFile[]): string[] {
  const graph = new Map(sources.map(({ path, imports }) => [path, imports]));
  const finished = new Set<string>();
  const found: string[] = [];
  function visit(path: string, trail: string[]): void {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
    if (trail.includes(path) || finished.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  }
  for (const path of graph.keys()) visit(path, []);
  return found;
}
