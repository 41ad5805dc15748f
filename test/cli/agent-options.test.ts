import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { agentCommand } from '../../src/cli/commands/agent.ts';
import { describeRights, readEnd, readModes } from '../../src/cli/commands/agent-options.ts';
import { addRuleOptions, collectPatterns, readRules } from '../../src/cli/commands/agent-rules.ts';

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
  const limited = { concurrency: 2, max_body: '1MB', idle_timeout: '9s', call_timeout: '1m' };
  expect(describeRights({ ...agent, prompt_deny: ['p'], resource_allow: ['x:*'], ...limited })).toBe(
    'may use coda, notion@* (token); not prompts p; resources x:*; 2 calls at a time; requests up to 1MB; ' +
      'calls idle up to 9s; calls up to 1m',
  );
});

describe('rules and limits', () => {
  const read = (...args: string[]) =>
    readRules(
      addRuleOptions(new Command(), { canUndo: true })
        .exitOverride()
        .configureOutput({ writeErr: () => {} })
        .parse(args, { from: 'user' })
        .opts(),
    );

  it('are read as they are meant', () => {
    expect(
      read(
        ...['--prompt-allow', 'a', '--prompt-allow', 'b', '--resource-deny', 'x:*', '--no-tool-deny'],
        ...['--concurrency', '8', '--max-body', '2MB', '--idle-timeout', '90s', '--call-timeout', 'default'],
      ),
    ).toEqual({
      ...{ toolAllow: undefined, toolDeny: [], promptAllow: ['a', 'b'], promptDeny: undefined },
      ...{ resourceAllow: undefined, resourceDeny: ['x:*'] },
      limits: { concurrency: 8, bodyBytes: 2_097_152, idleMs: 90_000, totalMs: null },
    });
  });

  it('are taken back with --no-…', () => {
    const { limits, ...rules } = read(
      ...['tool-allow', 'tool-deny', 'prompt-allow', 'prompt-deny', 'resource-allow', 'resource-deny'].map(
        (each) => `--no-${each}`,
      ),
      ...['--no-concurrency', '--no-max-body', '--no-idle-timeout', '--no-call-timeout'],
    );
    expect(Object.values(rules)).toEqual([[], [], [], [], [], []]);
    expect(Object.values(limits)).toEqual([null, null, null, null]);
  });

  it('change nothing where they are not named', () => {
    const { limits, ...rules } = read();
    expect([...Object.values(rules), ...Object.values(limits)].filter((each) => each !== undefined)).toEqual(
      [],
    );
  });

  it.each([
    ['--concurrency', 'many'],
    ['--concurrency', '-1'],
    ['--max-body', '4GB'],
    ['--idle-timeout', 'never'],
    ['--call-timeout', '1w'],
  ])('%s %s is refused', (option, value) => {
    expect(() => read(option, value)).toThrow();
  });
});

it('docs/agents.md names every option there is, and none that is not', () => {
  const text = readFileSync(new URL('../../docs/agents.md', import.meta.url), 'utf8');
  const named = new Set([...text.matchAll(/--[a-z][a-z-]+/g)].map(([flag]) => flag));
  const real = agentCommand().commands.flatMap(({ options }) => options.map(({ long }) => long));
  expect([...named].sort()).toEqual([...new Set(real)].filter((flag) => flag !== '--json').sort());
});
