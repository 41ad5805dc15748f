import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { agentCommand } from '../../src/cli/commands/agent.ts';
import { collectPatterns, describeRights, readEnd, readModes } from '../../src/cli/commands/agent-options.ts';

const refused = expect.objectContaining({ code: 'commander.invalidArgument' });

describe('--expires', () => {
  it.each([
    ['2027-01-31', '2027-01-31T00:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
    ['2027-01-31T10:30:00Z', '2027-01-31T10:30:00.000Z'],
    ['2027-01-31T10:30+02:00', '2027-01-31T08:30:00.000Z'],
  ])('%s is %s', (text, instant) => {
    expect(new Date(readEnd(text)).toISOString()).toBe(instant);
  });

  it('counts a duration from now', () => {
    const before = Date.now();
    const end = readEnd('90d');
    expect(end).toBeGreaterThanOrEqual(before + 90 * 86_400_000);
    expect(end).toBeLessThanOrEqual(Date.now() + 90 * 86_400_000);
  });

  it.each([
    ...[
      '',
      'soon',
      '-1d',
      '1w',
      '2027-1-1',
      '2027-02-30',
      '2027-02-29',
      '2027-04-31',
      '2027-13-01',
      '2027-00-10',
    ],
    ...['2027-01-31T10:00', '2027-01-31T25:00Z', '2027-01-31 10:00Z', '2027-01-31x', '02027-01-31'],
  ])('%j is none', (text) => {
    expect(() => readEnd(text)).toThrow(refused);
  });
});

describe('--mode', () => {
  it('is separated by commas or repeated, in any order', () => {
    expect(readModes('gateway', undefined)).toEqual(['gateway']);
    expect(readModes('gateway, token', undefined)).toEqual(['token', 'gateway']);
    expect(readModes('token', readModes('gateway', undefined))).toEqual(['token', 'gateway']);
  });

  it.each(['', 'all', 'token,', 'token,token', 'Token', 'token gateway'])('%j is none', (text) => {
    expect(() => readModes(text, undefined)).toThrow(refused);
  });
});

it('a repeatable option keeps each use, and starts anew after --no-…', () => {
  expect(collectPatterns('b', collectPatterns('a', undefined))).toEqual(['a', 'b']);
  expect(collectPatterns('a', false)).toEqual(['a']);
});

it('rights are told in one line, limits only where there are some', () => {
  const agent = {
    ...{ name: 'a', key_prefix: 'mtb_a', allow: ['coda', 'notion@*'], modes: ['token' as const] },
    ...{ admin: false, status: 'active' as const, created_at: '2026-01-01T00:00:00Z' },
  };
  expect(describeRights(agent)).toBe('may use coda, notion@* (token)');
  expect(
    describeRights({ ...agent, tool_allow: ['read_*'], tool_deny: ['x'], rate: '6/m', admin: true }),
  ).toBe('may use coda, notion@* (token); tools read_*; not x; at most 6/m; as an admin');
});

it('docs/agents.md names every option there is, and none that is not', () => {
  const text = readFileSync(new URL('../../docs/agents.md', import.meta.url), 'utf8');
  const named = new Set([...text.matchAll(/--[a-z][a-z-]+/g)].map(([flag]) => flag));
  const real = agentCommand().commands.flatMap(({ options }) => options.map(({ long }) => long));
  expect([...named].sort()).toEqual([...new Set(real)].filter((flag) => flag !== '--json').sort());
});
