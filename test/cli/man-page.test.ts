import { execFileSync, spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/main.ts';
import { manPage } from '../../src/cli/man-page.ts';

const program = buildProgram();
const source = manPage(program, new Date('2026-11-21T12:00:00Z'));
const hasMandoc = spawnSync('mandoc', ['-T', 'lint'], { input: '' }).error === undefined;

const BACKSPACE = String.fromCharCode(8);

/** The page as people read it, without the strokes that make it bold. */
function shown(): string {
  const page = execFileSync('mandoc', ['-T', 'utf8'], { input: source, encoding: 'utf8' });
  return page.replace(new RegExp(`.${BACKSPACE}`, 'gu'), '').replace(/\s+/g, ' ');
}

const leaves = (command: Command, path: string[] = []): string[] =>
  command.commands.length === 0
    ? [path.join(' ')]
    : command.commands.flatMap((each) => leaves(each, [...path, each.name()]));

describe.skipIf(!hasMandoc)('the manual page (skipped where mandoc is missing)', () => {
  it('is sound', () => {
    const found = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: source, encoding: 'utf8' });
    expect(found.stdout).toBe('');
  });

  it('has each command, and not what only scripts call', () => {
    const page = shown();
    const missing = leaves(program).filter((path) => !page.includes(` broker ${path} `));
    expect(missing).toEqual(['complete']);
  });

  it('has options with their values and defaults, examples as they are typed, variables and exit codes', () => {
    const page = shown();
    expect(page).toContain(
      '--log-level <level> what to log on stderr; one of silent, error, warn, info, debug',
    );
    expect(page).toContain("broker agent add crm --allow 'notion@*'");
    expect(page).toContain('BROKER_MASTER_KEY_COMMAND a command that prints that key');
    expect(page).toContain('EXIT STATUS Every option can also be set');
    expect(page).toContain('November 21, 2026');
  });
});

it('keeps roff from reading text as requests', () => {
  const requests = source.split('\n').filter((line) => /^['.]/.test(line));
  expect(requests.every((line) => /^\.(Dd|Dt|Os|Sh|Ss|Nm|Nd|Op|Ar|Pp|Bl|It|El|Bd|Ed|Ev)\b/.test(line))).toBe(
    true,
  );
  expect(source).not.toMatch(/[^\\]--/);
});
