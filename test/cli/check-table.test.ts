import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { CheckView } from '../../src/broker/check.ts';
import { checkLine, checkTable } from '../../src/cli/commands/check-table.ts';
import { connectionLines } from '../../src/cli/commands/serve-connections.ts';
import { writeTextfile } from '../../src/cli/textfile.ts';
import { NOW } from '../support/connection.ts';

const FINE: CheckView = {
  ...{ connection: 'coda', state: 'ok', exit_code: 0, message: 'ok' },
  expires_at: new Date(NOW + 3_600_000).toISOString(),
  last_refreshed_at: new Date(NOW - 86_400_000).toISOString(),
};
const DEAD: CheckView = {
  ...{ connection: 'wiki@alice', state: 'login_required', exit_code: 2 },
  ...{
    message: 'login_required: the server\nended the login',
    next_step: 'broker login wiki@alice\nor else',
  },
};
const SOON: CheckView = { connection: 'x', state: 'ok', exit_code: 1, message: 'the login ends in 3 days' };

describe('a check', () => {
  it('is a table for people, with a line for each', () => {
    const lines = stripVTControlCharacters(checkTable([FINE, SOON, DEAD], NOW)).split('\n');
    expect(lines).toEqual([
      '   NAME        STATE           TOKEN ENDS  LAST REFRESH  WHAT TO DO',
      '✔  coda        ok              in 60 min   24 h ago      -',
      '!  x           ok              -           -             the login ends in 3 days',
      '✘  wiki@alice  login_required  -           -             login_required: the server ended the login → broker login wiki@alice',
    ]);
  });

  it('is one line where nobody looks', () => {
    expect(stripVTControlCharacters(checkLine(DEAD))).toBe(
      'act   wiki@alice: login_required: the server ended the login → broker login wiki@alice',
    );
    expect(stripVTControlCharacters(checkLine(SOON))).toBe('soon  x: the login ends in 3 days');
  });

  it('stands behind the names, aligned, when the daemon starts', () => {
    expect(connectionLines([FINE, DEAD, SOON]).map(stripVTControlCharacters)).toEqual([
      '  ✔ coda:       ok',
      '  ✘ wiki@alice: login_required: the server ended the login → broker login wiki@alice',
      '  ! x:          the login ends in 3 days',
    ]);
  });
});

describe('a file for others', () => {
  const directory = mkdtempSync(join(tmpdir(), 'textfile-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  it('replaces the one before as a whole, readable for all, and leaves nothing beside it', () => {
    const path = join(directory, 'broker.prom');
    writeFileSync(path, 'old', { mode: 0o600 });
    const before = statSync(path).ino;
    const umask = process.umask(0o077);
    writeTextfile(path, 'new\n');
    process.umask(umask);
    expect(readFileSync(path, 'utf8')).toBe('new\n');
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(statSync(path).ino).not.toBe(before);
    expect(readdirSync(directory)).toEqual(['broker.prom']);
  });

  it('that cannot be written is told, and the one before stays', () => {
    const place = join(directory, 'taken');
    mkdirSync(join(place, 'inside'), { recursive: true });
    expect(() => writeTextfile(place, 'new')).toThrow(/taken cannot be written \(E[A-Z]+\)/);
    expect(() => writeTextfile(join(directory, 'nowhere', 'x.prom'), 'new')).toThrow(/ENOENT/);
    expect(readdirSync(directory).sort()).toEqual(['broker.prom', 'taken']);
    chmodSync(place, 0o700);
  });
});
