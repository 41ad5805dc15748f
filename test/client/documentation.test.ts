import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const DOCUMENT = read('docs/client.md');

test('each piece of code in docs/client.md stands in a file that is run', () => {
  const pieces = [...DOCUMENT.matchAll(/^```(?:ts|python)\n(.+?)^```/gms)].map(([, piece = '']) => piece);
  const examples = [
    ...['mcp-sdk-v1.ts', 'mcp-sdk-v2.ts', 'plain-fetch.ts'].map((name) => read(`examples/${name}`)),
    read('runtimes/broker_auth.py'),
  ];
  expect(pieces.length).toBe(4);
  const unknown = pieces.filter((piece) => !examples.some((example) => example.includes(piece.trimEnd())));
  expect(unknown).toEqual([]);
});

test('docs/client.md names each option and each field of an error', () => {
  const members = (path: string, type: string) => {
    const [, body = ''] = new RegExp(`export interface ${type} {(.+?)^}`, 'ms').exec(read(path)) ?? [];
    return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name as string);
  };
  const names = [
    ...members('src/client/options.ts', 'BrokerOptions'),
    ...members('src/client/errors.ts', 'BrokerClientErrorDetails'),
  ];
  expect(names.length).toBe(9);
  expect(names.filter((name) => !DOCUMENT.includes(`| \`${name}\` |`))).toEqual([]);
});

test('docs/errors.md explains each code the library knows', () => {
  const [, union = ''] =
    /export type BrokerClientErrorCode =([^;]+);/.exec(read('src/client/errors.ts')) ?? [];
  const codes = [...union.matchAll(/'([a-z_]+)'/g)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(12);
  expect(codes.filter((code) => !read('docs/errors.md').includes(`### \`${code}\``))).toEqual([]);
});
