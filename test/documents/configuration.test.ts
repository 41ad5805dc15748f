import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VARIABLES } from '../../src/variables.ts';
import { configurationPage } from './configuration.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('docs/configuration.md is what the code says: after a change, npm run docs', () => {
  expect(read('docs/configuration.md')).toBe(configurationPage());
});

test('each listed variable is read, in config.ts and nowhere else', () => {
  const source = read('src/config.ts');
  const unread = Object.keys(VARIABLES).filter((name) => !new RegExp(`\\b${name}\\b`).test(source));
  expect(unread).toEqual([]);
});
