import { describe, expect, it } from 'vitest';
import {
  type AgentChanges,
  changeRights,
  namedConnections,
  type Rights,
  requireAgentName,
} from '../../src/core/agent-wishes.ts';
import { NOW } from '../support/connection.ts';

const RIGHTS: Rights = {
  policy: {
    allow: ['coda', 'notion@*'],
    modes: ['token'],
    tools: { allow: ['read_*'], deny: ['coda:delete_*'] },
    rate: { requests: 60, per: 'm' },
    admin: true,
  },
  expiresAt: NOW - 1,
};

const change = (changes: AgentChanges) => changeRights(RIGHTS, changes, NOW);
const refusal = (message: RegExp) =>
  expect.objectContaining({
    code: 'usage',
    message: expect.stringMatching(message),
    hint: expect.any(String),
  });

describe('changes', () => {
  it.each<[string, AgentChanges, Partial<Rights['policy']>]>([
    ['nothing', {}, {}],
    ['the list', { allow: ['linear'] }, { allow: ['linear'] }],
    ['one more', { addAllow: ['linear'] }, { allow: ['coda', 'notion@*', 'linear'] }],
    ['one less', { removeAllow: ['coda'] }, { allow: ['notion@*'] }],
    ['one for another', { addAllow: ['linear'], removeAllow: ['coda', 'notion@*'] }, { allow: ['linear'] }],
    ['the modes', { modes: ['gateway'] }, { modes: ['gateway'] }],
    ['the tools', { toolAllow: [] }, { tools: { allow: [], deny: ['coda:delete_*'] } }],
    ['the denied tools', { toolDeny: ['x'] }, { tools: { allow: ['read_*'], deny: ['x'] } }],
    ['the prompts', { promptAllow: ['coda:plan_*'] }, { prompts: { allow: ['coda:plan_*'], deny: [] } }],
    ['the resources', { resourceDeny: ['file:///s/*'] }, { resources: { allow: [], deny: ['file:///s/*'] } }],
    ['a limit', { limits: { concurrency: 2, idleMs: null } }, { limits: { concurrency: 2 } }],
    ['the rate', { rate: { requests: 1, per: 's' } }, { rate: { requests: 1, per: 's' } }],
    ['that there is a rate', { rate: null }, { rate: null }],
    ['that it is an admin', { admin: false }, { admin: false }],
  ])('of %s leave all else as it was', (_, changes, policy) => {
    expect(change(changes)).toEqual({ policy: { ...RIGHTS.policy, ...policy }, expiresAt: RIGHTS.expiresAt });
  });

  it('of the end leave the policy, and may take the end away', () => {
    expect(change({ expiresAt: NOW + 1 })).toEqual({ ...RIGHTS, expiresAt: NOW + 1 });
    expect(change({ expiresAt: null })).toEqual({ ...RIGHTS, expiresAt: null });
  });

  it.each<[string, AgentChanges, RegExp]>([
    ['leave nothing', { removeAllow: ['coda', 'notion@*'] }, /^the agent may use nothing$/],
    ['replace the list with nothing', { allow: [] }, /^the agent may use nothing$/],
    ['replace and add', { allow: ['linear'], addAllow: ['coda'] }, /^--allow replaces the whole list/],
    ['replace and remove', { allow: ['linear'], removeAllow: ['coda'] }, /^--allow replaces the whole list/],
    ['remove what is not there', { removeAllow: ['notion'] }, /^"notion" is not among what the agent/],
    ['add what is there', { addAllow: ['coda'] }, /^"coda" is named twice$/],
    ['name one twice', { allow: ['linear', 'coda', 'linear'] }, /^"linear" is named twice$/],
    ['name a tool twice', { toolDeny: ['x', 'x'] }, /^"x" is named twice$/],
    ['name nothing', { allow: [''] }, /^"" is not a connection or pattern$/],
    ['name white space', { addAllow: [' '] }, /^"" is not a connection or pattern$/],
    ['name a line feed', { addAllow: ['a\nb'] }, /^"a b" is not a connection or pattern$/],
    ['name an empty tool', { toolAllow: [''] }, /^"" is not a tool or pattern$/],
    ['name a tool of no connection', { toolDeny: ['Coda:x'] }, /^"Coda:x" is not a tool or pattern$/],
    ['name a prompt of no connection', { promptDeny: ['Coda:x'] }, /^"Coda:x" is not a prompt or pattern$/],
    ['name an empty prompt', { promptAllow: [''] }, /^"" is not a prompt or pattern$/],
    ['name a prompt twice', { promptAllow: ['x', 'x'] }, /^"x" is named twice$/],
    ['name a resource with a space', { resourceDeny: ['a b'] }, /^"a b" is not the URI of a resource/],
    ['name a resource twice', { resourceAllow: ['x', 'x'] }, /^"x" is named twice$/],
    [
      'allow no call at all',
      { limits: { concurrency: 0 } },
      /^--concurrency 0 is no limit an agent can have$/,
    ],
    ['allow no message', { limits: { bodyBytes: 1 } }, /^--max-body 1B is no limit/],
    ['leave no time', { limits: { idleMs: 0 } }, /^--idle-timeout 0s is no limit/],
    ['leave too much time', { limits: { totalMs: 8 * 86_400_000 } }, /^--call-timeout 8d is no limit/],
    ['end at once', { expiresAt: NOW }, /^the key would have ended already/],
    ['have ended', { expiresAt: NOW - 86_400_000 }, /^the key would have ended already/],
    ['end beyond all dates', { expiresAt: 9e15 }, /^the key would end too far away/],
    ['end at no time', { expiresAt: Number.NaN }, /^the key would end too far away/],
  ])('that %s are refused', (_, changes, message) => {
    expect(() => change(changes)).toThrow(refusal(message));
  });
});

it('prompts, resources and limits stay until they are taken back, and then there is no trace of them', () => {
  const limits = { concurrency: 2, bodyBytes: 2048 };
  const some = { promptDeny: ['p'], resourceAllow: ['x:*'], limits };
  const given = changeRights(RIGHTS, some, NOW);
  expect(given.policy).toMatchObject({ prompts: { deny: ['p'] }, resources: { allow: ['x:*'] }, limits });
  expect(changeRights(given, { rate: RIGHTS.policy.rate }, NOW)).toEqual(given);
  expect(changeRights(given, { limits: { concurrency: null } }, NOW).policy.limits).toEqual({
    bodyBytes: 2048,
  });
  const none = { promptDeny: [], resourceAllow: [], limits: { concurrency: null, bodyBytes: null } };
  expect(changeRights(given, none, NOW)).toEqual(RIGHTS);
});

it('connections named in full are told, patterns are not', () => {
  expect(
    namedConnections({
      allow: ['coda', 'notion@*'],
      addAllow: ['linear@bob', 'coda'],
      removeAllow: ['gone'],
      toolAllow: ['read_*', 'sentry:*'],
      toolDeny: ['not*:x', 'coda:x'],
      promptDeny: ['figma:x'],
    }),
  ).toEqual(['coda', 'linear@bob', 'sentry', 'figma']);
  expect(namedConnections({})).toEqual([]);
});

it.each(['', ' ', 'Docs', 'docs bot', 'docs@alice', '-x', 'a'.repeat(64), 'a\u001b[1m'])(
  'an agent cannot be called %j, and what is shown of it is safe to show',
  (name) => {
    expect(() => requireAgentName(name)).toThrow(refusal(/^"[^\p{C}]*" is not an agent name$/u));
  },
);
