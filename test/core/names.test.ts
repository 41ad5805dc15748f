import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatConnectionName,
  isAgentName,
  isConnectionPattern,
  matchesPattern,
  nameFromUrl,
  parseConnectionName,
  requireConnectionName,
} from '../../src/core/names.ts';

describe('a connection name', () => {
  it.each([
    ['coda', 'coda', undefined],
    ['0', '0', undefined],
    ['my.server_2-x', 'my.server_2-x', undefined],
    ['coda@alice', 'coda', 'alice'],
    ['coda@Alice+work', 'coda', 'Alice+work'],
    ['a'.repeat(63), 'a'.repeat(63), undefined],
    [`coda@${'b'.repeat(64)}`, 'coda', 'b'.repeat(64)],
  ])('is taken apart: %s', (name, server, account) => {
    expect(parseConnectionName(name)).toEqual({ server, account });
  });

  it.each([
    ['empty', ''],
    ['with upper case in the server', 'Coda'],
    ['beginning with a dot', '.coda'],
    ['beginning with a dash, which a command would read as an option', '-coda'],
    ['with an empty account', 'coda@'],
    ['without a server', '@alice'],
    ['with two @', 'coda@alice@example.com'],
    ['with a slash', 'coda/x'],
    ['with a space', 'co da'],
    ['with a line break at its end', 'coda\n'],
    ['with an escaped @', 'coda%40alice'],
    ['longer than 63', 'a'.repeat(64)],
    ['with an account longer than 64', `coda@${'b'.repeat(65)}`],
  ])('is refused when it is %s', (_, name) => {
    expect(parseConnectionName(name)).toBeUndefined();
    expect(() => requireConnectionName(name)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('is the same after being taken apart and put together', () => {
    for (const name of ['coda', 'coda@alice'])
      expect(formatConnectionName(requireConnectionName(name))).toBe(name);
  });
});

describe('an agent name', () => {
  it('follows the rule of server names', () => {
    expect(isAgentName('ci-runner.2')).toBe(true);
    expect(isAgentName('ci@alice')).toBe(false);
    expect(isAgentName('CI')).toBe(false);
  });
});

describe('a pattern', () => {
  it.each([
    ['coda', 'coda', true],
    ['coda', 'coda@alice', false],
    ['coda', 'codax', false],
    ['*', 'coda', true],
    ['*', 'coda@alice', false],
    ['notion@*', 'notion@alice', true],
    ['notion@*', 'notion', false],
    ['notion@*', 'notion2@alice', false],
    ['*@*', 'notion@alice', true],
    ['*@alice', 'notion@alice', true],
    ['*@alice', 'notion@Alice', false],
    ['no*on@a*e', 'notion@alice', true],
    ['prod-*', 'prod-coda', true],
    ['prod-*', 'prod-', true],
    ['prod-*', 'dev-prod-coda', false],
    ['a.b', 'axb', false],
    ['c+@x', 'cc@x', false],
    ['coda@a+b', 'coda@a+b', true],
  ])('%s selects %s: %s', (pattern, name, isSelected) => {
    expect(matchesPattern(pattern, name)).toBe(isSelected);
  });

  it('is a name in which * may stand anywhere', () => {
    for (const pattern of ['*', '*@*', 'coda', 'co*a@*', 'coda@alice'])
      expect([pattern, isConnectionPattern(pattern)]).toEqual([pattern, true]);
    for (const pattern of ['', 'Coda', 'coda@', '@*', 'coda@*@*', '*/*', '[a-z]'])
      expect([pattern, isConnectionPattern(pattern)]).toEqual([pattern, false]);
  });

  it('without * selects exactly itself', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,8}(@[A-Za-z0-9._+-]{1,8})?$/);
    fc.assert(fc.property(name, name, (one, other) => matchesPattern(one, other) === (one === other)));
  });
});

describe('the name of a login nobody named', () => {
  it.each([
    ['https://coda.io/apis/mcp', 'coda'],
    ['https://mcp.notion.com/mcp', 'notion'],
    ['https://docs.superhuman.com/apis/mcp', 'superhuman'],
    ['https://www.api.example.com/', 'example'],
    ['https://MCP.Example.com/', 'example'],
    ['https://mcp.example.com:8443/', 'example'],
    ['https://mcp.com/', 'mcp'],
    ['https://tenant.example.com/', 'tenant'],
  ])('of %s is %s', (url, name) => {
    expect(nameFromUrl(new URL(url))).toBe(name);
  });

  it.each([
    'http://localhost:3000/mcp',
    'http://127.0.0.1:3000/mcp',
    'http://[::1]:3000/mcp',
    'https://_x.example.com/',
  ])('does not exist for %s', (url) => {
    expect(nameFromUrl(new URL(url))).toBeUndefined();
  });
});
