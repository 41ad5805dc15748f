/** Other spellings of what is denied: tools, prompts and resources. */
import { describe, expect, it } from 'vitest';
import {
  type AttackWorld,
  expectNothingLeaked,
  message,
  shareAttackWorld,
  toolCall,
} from '../support/attack-world.ts';

let world: AttackWorld;
shareAttackWorld((given) => {
  world = given;
});

/** The body does harm at the server, and none through the gateway. */
async function expectRefused(body: string, harm: string): Promise<void> {
  await world.direct({ body });
  expect([...world.coda.ran], 'the attack would work without the gateway').toContain(harm);
  world.coda.reset();
  const reply = await world.attack({ body });
  expect([...world.coda.ran]).toEqual([]);
  expect(world.coda.requests).toEqual([]);
  expect(reply.text).toContain('"error"');
  expectNothingLeaked(world, reply);
}

describe('a denied tool is denied', () => {
  it.each([
    ['in capitals', 'DELETE_DOCUMENT'],
    ['with one capital', 'delete_Document'],
    ['with a space before it', ' delete_document'],
    ['with a tab after it', 'delete_document\t'],
    ['with a space no rule expects', 'delete_\u00a0document'],
    ['with NUL after it', 'delete_document\0'],
    ['with a sign nobody sees', 'de\u200blete_document'],
    ['with a soft hyphen', 'delete\u00ad_document'],
    ['with a mark of direction', '\u202edelete_document'],
    ['with a variation selector', 'de\ufe0flete_document'],
    ['with a filler that counts as a letter', 'de\u115flete_document'],
    ['in wide letters', 'ｄelete_document'],
    ['in letters of mathematics', '𝐝elete_document'],
    ['with an accent', 'délete_document'],
    ['escaped for URLs', 'delete%5Fdocument'],
    ['wholly escaped for URLs', '%64elete_document'],
  ])('%s', (_how, name) => expectRefused(toolCall(name), 'delete_document'));
});

describe('a denied prompt', () => {
  it.each<[string, string, unknown]>([
    ['is not got', 'prompts/get', { name: 'secret_plan' }],
    ['is not got in other letters', 'prompts/get', { name: 'Secret_Plan' }],
    ['is not got with a space', 'prompts/get', { name: 'secret_plan ' }],
    ['is not completed', 'completion/complete', { ref: { type: 'ref/prompt', name: 'secret_plan' } }],
    [
      'is not completed under Name',
      'completion/complete',
      { ref: { type: 'ref/prompt', name: 'x', Name: 'secret_plan' } },
    ],
    [
      'is not completed as a list',
      'completion/complete',
      { ref: [{ type: 'ref/prompt', name: 'secret_plan' }] },
    ],
    [
      'is not completed under Ref',
      'completion/complete',
      { Ref: { type: 'ref/prompt', name: 'secret_plan' } },
    ],
  ])('%s', (_how, method, params) => expectRefused(message(method, params), 'prompt secret_plan'));
});

describe('a denied resource is not read', () => {
  it.each([
    ['as it is', 'file:///secret/plan'],
    ['by a detour', 'file:///public/../secret/plan'],
    ['by a detour with dots escaped', 'file:///public/%2e%2e/secret/plan'],
    ['by a detour with all escaped', 'file:///public%2f%2e%2e%2fsecret%2fplan'],
    ['by a detour escaped twice', 'file:///public/%252e%252e/secret/plan'],
    ['by a detour with backslashes', 'file:///public\\..\\secret\\plan'],
    ['with a letter escaped', 'file:///%73ecret/plan'],
    ['with a letter escaped, and something that is no escape', 'file:///%73ecret/plan?%zz'],
    ['with two slashes', 'file:////secret/plan'],
    ['with two slashes inside', 'file:///secret//plan'],
    ['with a dot', 'file:///./secret/plan'],
    ['with one slash', 'file:/secret/plan'],
    ['with a host', 'file://localhost/secret/plan'],
    ['in capitals', 'FILE:///SECRET/PLAN'],
    ['with a query', 'file:///secret/plan?x'],
    ['with a fragment', 'file:///secret/plan#x'],
    ['with a space before it', ' file:///secret/plan'],
  ])('%s', (_how, uri) => expectRefused(message('resources/read', { uri }), 'read /secret/plan'));

  it.each<[string, string, unknown]>([
    ['by subscribing', 'resources/subscribe', { uri: 'file:///secret/plan' }],
    ['by completing', 'completion/complete', { ref: { type: 'ref/resource', uri: 'file:///secret/plan' } }],
    ['under URI', 'resources/read', { URI: 'file:///secret/plan' }],
    ['by a template', 'completion/complete', { ref: { type: 'ref/resource', uri: 'file:///secret/{name}' } }],
  ])('%s', (how, method, params) =>
    expectRefused(
      message(method, params),
      how === 'by a template' ? 'read /secret/{name}' : 'read /secret/plan',
    ),
  );

  it('nor listened to in the revision that has no sessions', async () => {
    const notifications = { resourceSubscriptions: ['file:///public/a', 'file:///secret/plan'] };
    const reply = await world.attack({ body: message('subscriptions/listen', { notifications }) });
    expect(reply.body).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });
});

describe('an agent that is confined to some tools', () => {
  it.each<[string, string, unknown, string]>([
    ['reads no resources', 'resources/read', { uri: 'file:///public/a' }, 'read /public/a'],
    ['gets no prompts', 'prompts/get', { name: 'any' }, 'prompt any'],
    [
      'calls no tool that is spelled almost like one',
      'tools/call',
      { name: 'READ_document' },
      'read_document',
    ],
    ['calls no other', 'tools/call', { name: 'delete_document' }, 'delete_document'],
  ])('%s', async (_what, method, params, harm) => {
    const body = message(method, params);
    await world.direct({ body });
    expect([...world.coda.ran]).toContain(harm);
    world.coda.reset();
    expect((await world.attack({ body }, 'confined')).body).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });
});

describe('a method', () => {
  it.each([
    ['of no revision', 'tools/execute', 'denied'],
    ['of a vendor', 'x/tools.call', 'denied'],
    ['that only servers send', 'sampling/createMessage', 'denied'],
    ['that lists the tasks of all', 'tasks/list', 'free'],
  ] as const)('%s is refused', async (_which, method, key) => {
    const reply = await world.attack({ body: message(method, { name: 'delete_document' }) }, key);
    expect(reply.body).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });
});
