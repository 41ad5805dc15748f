import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { requireFilePlace, writePrivateFile } from '../../src/cli/private-file.ts';
import { createHome, type Home } from '../support/home.ts';

let home: Home;

beforeEach(async () => {
  home = await createHome();
});

afterEach(() => home.remove());

it('writes the text for the owner only, and nothing beside it', () => {
  const directory = join(home.path, 'store');
  mkdirSync(directory);
  writePrivateFile(join(directory, 'token'), 'first');
  writePrivateFile(join(directory, 'token'), 'second');
  expect(readdirSync(directory)).toEqual(['token']);
  expect(readFileSync(join(directory, 'token'), 'utf8')).toBe('second');
  expect(statSync(join(directory, 'token')).mode & 0o777).toBe(0o600);
});

it('leaves what was there and no draft when it cannot take its place', () => {
  const taken = join(home.path, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'inside'), 'kept');
  const before = readdirSync(home.path);
  expect(() => writePrivateFile(taken, 'text')).toThrow(
    expect.objectContaining({ code: 'push_failed', message: expect.stringMatching(/cannot be written \(E/) }),
  );
  expect(readdirSync(home.path)).toEqual(before);
  expect(readFileSync(join(taken, 'inside'), 'utf8')).toBe('kept');
});

it('knows beforehand where no file can be', () => {
  expect(() => requireFilePlace(join(home.path, 'token'), '--file')).not.toThrow();
  expect(() => requireFilePlace(home.path, '--file')).toThrow(/it is a directory/);
  expect(() => requireFilePlace(join(home.path, 'no', 'token'), '--file')).toThrow(/there is no directory/);
});
