import { describe, expect, it } from 'vitest';
import {
  isResourcePattern,
  isRestricted,
  judge,
  NO_RULES,
  needsKnowledge,
  OPEN_SERVER,
  type Policy,
  type ServerPolicy,
  type UseRules,
} from '../../src/core/gateway-policy.ts';
import type { Wanted } from '../../src/core/mcp-message.ts';

const rules = (given: { [kind in keyof UseRules]?: Partial<UseRules['tools']> }): UseRules => ({
  tools: { ...NO_RULES, ...given.tools },
  prompts: { ...NO_RULES, ...given.prompts },
  resources: { ...NO_RULES, ...given.resources },
});
const policy = (agent: Parameters<typeof rules>[0], server: Partial<ServerPolicy> = {}): Policy => ({
  ...{ connection: 'coda', agentName: 'bot' },
  ...{ agent: rules(agent), server: { ...OPEN_SERVER, ...server } },
});
const tool = (name: string): Wanted => ({ kind: 'tool', name });
const resource = (name: string): Wanted => ({ kind: 'resource', name });
const prompt = (name: string): Wanted => ({ kind: 'prompt', name });

describe('deny wins over allow', () => {
  const both = { allow: ['delete_document'], deny: ['delete_document'] };
  const [allowed, denied] = [
    { ...both, deny: [] },
    { ...both, allow: [] },
  ];

  it.each<[string, Policy, string]>([
    ['of one agent, to the letter', policy({ tools: both }), 'agent deny'],
    ['of one server, to the letter', policy({}, { tools: both }), 'server deny'],
    ['a pattern over a name', policy({ tools: { ...both, deny: ['*'] } }), 'agent deny'],
    ['a name over a pattern', policy({ tools: { ...both, allow: ['*'] } }), 'agent deny'],
    ['the agent over the server', policy({ tools: denied }, { tools: allowed }), 'agent deny'],
    ['the server over the agent', policy({ tools: allowed }, { tools: denied }), 'server deny'],
    ['for all over for one connection', policy({ tools: { allow: ['coda:*'], deny: ['*'] } }), 'agent deny'],
    ['for one connection over for all', policy({ tools: { allow: ['*'], deny: ['coda:*'] } }), 'agent deny'],
  ])('%s', (_how, given, rule) => {
    expect(judge(given, tool('delete_document'))).toEqual({ isAllowed: false, rule });
  });

  it('for prompts and resources too', () => {
    const given = policy({
      prompts: { allow: ['*'], deny: ['a'] },
      resources: { allow: ['*'], deny: ['x:a'] },
    });
    expect(judge(given, prompt('a')).isAllowed).toBe(false);
    expect(judge(given, resource('x:a')).isAllowed).toBe(false);
    expect(judge(given, prompt('b')).isAllowed && judge(given, resource('x:b')).isAllowed).toBe(true);
  });
});

describe('rules of server and agent', () => {
  it.each<[string[], string[], string, boolean, string]>([
    [[], [], 'a', true, 'none'],
    [['a'], [], 'a', true, 'agent allow'],
    [[], ['a'], 'a', true, 'server allow'],
    [['a'], ['a'], 'a', true, 'agent allow'],
    [['a'], ['b'], 'a', false, 'server allow'],
    [['a'], ['b'], 'b', false, 'agent allow'],
    [['*'], ['b'], 'b', true, 'agent allow'],
    [['notion:*'], [], 'a', false, 'agent allow'],
  ])('must agree: agent %j, server %j: %s', (agent, server, name, isAllowed, rule) => {
    const given = policy({ tools: { allow: agent } }, { tools: { allow: server, deny: [] } });
    expect(judge(given, tool(name))).toEqual({ isAllowed, rule });
  });
});

describe('an agent confined to certain tools', () => {
  const confined = policy({ tools: { allow: ['read_*'] } });

  it('gets no prompt and no resource', () => {
    expect(judge(confined, prompt('a'))).toEqual({ isAllowed: false, rule: 'agent deny' });
    expect(judge(confined, resource('x:a'))).toEqual({ isAllowed: false, rule: 'agent deny' });
  });

  it('gets those that are allowed by name', () => {
    const given = policy({
      tools: { allow: ['read_*'] },
      prompts: { allow: ['a'] },
      resources: { allow: ['x:*'], deny: ['x:b'] },
    });
    expect(judge(given, prompt('a')).isAllowed).toBe(true);
    expect(judge(given, prompt('b')).isAllowed).toBe(false);
    expect(judge(given, resource('x:a')).isAllowed).toBe(true);
    expect(judge(given, resource('x:b')).isAllowed).toBe(false);
  });

  it('also by the rules of the server', () => {
    const given = policy({}, { tools: { allow: ['read_*'], deny: [] } });
    expect(judge(given, resource('x:a'))).toEqual({ isAllowed: false, rule: 'server deny' });
  });

  it('but not one who is only denied some', () => {
    expect(judge(policy({ tools: { deny: ['x'] } }), resource('x:a')).isAllowed).toBe(true);
  });
});

describe('pins and read-only', () => {
  const known = { digest: 'd', isReadOnly: true };

  it.each<[string, Partial<ServerPolicy>, Parameters<typeof judge>[2], boolean, string]>([
    ['as pinned', { pins: { a: 'd' } }, known, true, 'none'],
    ['changed', { pins: { a: 'other' } }, known, false, 'pin'],
    ['new', { pins: {} }, known, false, 'pin'],
    ['gone', { pins: { a: 'd' } }, undefined, false, 'pin'],
    ['read-only', { readOnly: true }, known, true, 'none'],
    ['not read-only', { readOnly: true }, { ...known, isReadOnly: false }, false, 'read-only'],
    ['not known', { readOnly: true }, undefined, false, 'read-only'],
    [
      'pinned, and not read-only',
      { readOnly: true, pins: { a: 'd' } },
      { ...known, isReadOnly: false },
      false,
      'read-only',
    ],
    ['denied besides', { pins: { a: 'd' }, tools: { allow: [], deny: ['a'] } }, known, false, 'server deny'],
  ])('a tool that is %s', (_which, server, tools, isAllowed, rule) => {
    expect(judge(policy({}, server), tool('a'), tools)).toEqual({ isAllowed, rule });
  });

  it('a tool named like a member of every object is not pinned', () => {
    const given = policy({}, { pins: {} });
    expect(judge(given, tool('constructor'), known).isAllowed).toBe(false);
  });

  it('leave prompts and resources as they are', () => {
    const given = policy({}, { pins: {}, readOnly: true });
    expect(judge(given, prompt('a')).isAllowed && judge(given, resource('x:a')).isAllowed).toBe(true);
  });
});

describe('a denied resource', () => {
  const given = policy({ resources: { deny: ['file:///secret/*', 'note://h/one'] } });

  it.each([
    ...['file:///secret/a', 'FILE:///Secret/a', 'file:/secret/a', 'file://localhost/secret/a'],
    ...['file:///x/../secret/a', 'file:///x/%2e%2e/secret/a', 'file:///x/%252e%252E/secret/a'],
    ...[
      'file:///x%2f..%2fsecret/a',
      'file:///x\\..\\secret\\a',
      'file:///%73ecret/a',
      'file:///%73ecret/a?%zz',
    ],
    ...[
      'file:////secret/a',
      'file:///secret//a',
      'file:///./secret/a',
      ' file:///secret/a',
      'file:///se\tcret/a',
    ],
    ...[
      'note://h/one',
      'note://h/one#x',
      'note://h/one?x',
      'note://h/one/',
      'note://h/one.',
      'note://u:p@h/one',
    ],
    ...['note://H/ONE', 'note://h//one', 'note://h/x/../one'],
  ])('is denied as %j', (uri) => {
    expect(judge(given, resource(uri)).isAllowed).toBe(false);
  });

  it.each([
    'file:///secrets/a',
    'file:///x/secret/a',
    'note://h/one1',
    'note://h2/one',
    'http://h/secret/a',
    '%',
  ])('and not %j', (uri) => {
    expect(judge(given, resource(uri)).isAllowed).toBe(true);
  });
});

describe('an allowed resource', () => {
  const given = policy({ resources: { allow: ['file:///open/*', 'db:{a}'] } });

  it.each([
    ['file:///open/a', true],
    ['file:///open/a%20b', true],
    ['file:///open//a', true],
    ['db:{a}', true],
    ['file:///OPEN/a', false],
    ['file:///open/../secret', false],
    ['file:///open/%2e%2e/secret', false],
    ['file:///open/%252e%252e/secret', false],
    ['file:///open//../../secret', false],
    ['file:///open%2f..%2f..%2fsecret', false],
    ['file:///open/..\\secret', false],
    ['file:///closed', false],
  ])('%j: %s', (uri, isAllowed) => {
    expect(judge(given, resource(uri)).isAllowed).toBe(isAllowed);
  });
});

it.each([
  ['delete_document', false],
  ['Delete_Document', false],
  ['delete_document\u200b', false],
  ['de\ufe0flete_document', false],
  ['délete_document', false],
  ['delete%5fdocument', false],
  ['delete_documents', true],
  ['delete%document', true],
])('with delete_document denied, %j is allowed: %s', (name, isAllowed) => {
  expect(judge(policy({ tools: { deny: ['coda:delete_document'] } }), tool(name)).isAllowed).toBe(isAllowed);
});

it('what must be known, and whether anything is forbidden, follows from the rules', () => {
  expect([policy({}), policy({}, { readOnly: true }), policy({}, { pins: {} })].map(needsKnowledge)).toEqual([
    ...[false, true, true],
  ]);
  const open = [policy({}), policy({}, {})];
  const bound = [
    policy({ tools: { deny: ['x'] } }),
    policy({ prompts: { allow: ['x'] } }),
    policy({ resources: { deny: ['x'] } }),
    policy({}, { resources: { allow: ['x'], deny: [] } }),
    policy({}, { readOnly: true }),
    policy({}, { pins: {} }),
  ];
  expect(open.map(isRestricted)).toEqual([false, false]);
  expect(bound.map(isRestricted)).toEqual(bound.map(() => true));
});

it.each([
  ['file:///a/*', true],
  ['*', true],
  ['note:ä', true],
  ['', false],
  ['a b', false],
  ['a\n', false],
  ['x'.repeat(8193), false],
])('%j is a pattern of resources: %s', (text, isPattern) => {
  expect(isResourcePattern(text)).toBe(isPattern);
});
