import { describe, expect, it } from 'vitest';
import { nagiosAnswer, nagiosFailure } from '../../src/core/check-nagios.ts';
import type { CheckCode } from '../../src/core/check-policy.ts';
import type { CheckedConnection } from '../../src/core/checked-connection.ts';
import { NOW } from '../support/connection.ts';

const found = (connection: string, exit_code: CheckCode, more: Partial<CheckedConnection> = {}) => ({
  ...{ connection, exit_code, state: 'ok', message: exit_code === 0 ? 'ok' : 'the server ended the login' },
  ...more,
});

describe('a line for monitoring', () => {
  it('counts what is fine, and tells how long tokens live', () => {
    const expires_at = new Date(NOW + 90_500).toISOString();
    expect(nagiosAnswer([found('coda', 0, { expires_at }), found('wiki@al', 0)], NOW)).toEqual({
      exitCode: 0,
      line: "BROKER OK - 2 connections fine | fine=2;;;0 soon=0;;;0 down=0;;;0 act=0;;;0 'coda token'=91s",
    });
    expect(nagiosAnswer([], NOW).line).toMatch(/^BROKER OK - 0 connections fine \|/);
  });

  it('has names and causes first, the worst before all others, each with its command', () => {
    const findings = [
      found('calm', 0),
      found('soon', 1, { message: 'the client secret ends in 3 days' }),
      found('dead', 2, { next_step: 'broker login dead\nor another way' }),
      found('down', 75, { message: 'the server is out of order (503)' }),
    ];
    const { line, exitCode } = nagiosAnswer(findings, NOW);
    expect(exitCode).toBe(2);
    expect(line.split(' | ')[0]).toBe(
      'BROKER CRITICAL - dead: the server ended the login (broker login dead); ' +
        'down: the server is out of order (503); soon: the client secret ends in 3 days; 1 connection fine',
    );
  });

  it.each<[CheckCode, number, string]>([
    [1, 1, 'WARNING'],
    [75, 2, 'CRITICAL'],
    [2, 2, 'CRITICAL'],
    [3, 3, 'UNKNOWN'],
  ])('makes %i an exit code %i, %s', (code, exitCode, word) => {
    const answer = nagiosAnswer([found('coda', code)], NOW);
    expect(answer.exitCode).toBe(exitCode);
    expect(answer.line).toContain(`BROKER ${word} - coda: `);
  });

  it('lets no text from outside look like numbers, another connection or another line', () => {
    const message = `a|b=1;2\nBROKER OK - fine${'x'.repeat(500)}`;
    const { line } = nagiosAnswer([found('coda', 2, { message, next_step: 'do | this; now' })], NOW);
    const [text = '', numbers, ...more] = line.split('|');
    expect(more).toEqual([]);
    expect(numbers).toBe(' fine=0;;;0 soon=0;;;0 down=0;;;0 act=1;;;0');
    expect(text).toContain('coda: a/b=1,2 BROKER OK - fine');
    expect(text).toContain('(do / this, now)');
    expect(text).not.toMatch(/[\n;]/);
    expect(text.length).toBeLessThan(220);
  });

  it('is UNKNOWN when nobody could look', () => {
    expect(nagiosFailure('no vault|\nhere')).toEqual({
      line: 'BROKER UNKNOWN - no vault/ here',
      exitCode: 3,
    });
  });
});
