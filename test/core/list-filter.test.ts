import { describe, expect, it } from 'vitest';
import { filterLists, type Shows } from '../../src/core/list-filter.ts';

const hides =
  (...hidden: string[]): Shows =>
  (kind, name) =>
    !hidden.includes(`${kind} ${name}`);
const answer = (result: unknown) => ({ jsonrpc: '2.0', id: 1, result });

describe('a list', () => {
  it.each<[string, object, string[], object]>([
    ['of tools', { tools: [{ name: 'a' }, { name: 'b' }] }, ['tool b'], { tools: [{ name: 'a' }] }],
    ['of prompts', { prompts: [{ name: 'a' }, { name: 'b' }] }, ['prompt a'], { prompts: [{ name: 'b' }] }],
    ['of resources', { resources: [{ uri: 'x:a' }] }, ['resource x:a'], { resources: [] }],
    [
      'of templates',
      { resourceTemplates: [{ uriTemplate: 'x:{a}' }, { uriTemplate: 'y' }] },
      ['resource x:{a}'],
      { resourceTemplates: [{ uriTemplate: 'y' }] },
    ],
    [
      'beside others and a cursor',
      { tools: [{ name: 'a' }], prompts: [{ name: 'a' }], nextCursor: 'c', _meta: {} },
      ['tool a'],
      { tools: [], prompts: [{ name: 'a' }], nextCursor: 'c', _meta: {} },
    ],
    [
      'with entries nobody could name',
      { tools: [null, 'a', {}, { name: 1 }, { name: 'a' }] },
      [],
      { tools: [{ name: 'a' }] },
    ],
  ])('%s loses what is not shown', (_what, result, hidden, left) => {
    expect(filterLists(answer(result), hides(...hidden))).toEqual(answer(left));
  });

  it('loses it in a batch too, and what is beside it stays', () => {
    const batch = [answer({ ok: 1 }), answer({ tools: [{ name: 'a' }] })];
    expect(filterLists(batch, hides('tool a'))).toEqual([answer({ ok: 1 }), answer({ tools: [] })]);
  });

  it('is told the whole entry', () => {
    const entry = { name: 'a', annotations: { readOnlyHint: true } };
    const seen: unknown[] = [];
    filterLists(answer({ tools: [entry] }), (...all) => seen.push(all) > 0);
    expect(seen).toEqual([['tool', 'a', entry]]);
  });
});

it.each<[string, unknown]>([
  ['nothing hidden', answer({ tools: [{ name: 'a' }] })],
  ['no list', answer({ tools: 'a' })],
  ['a list that is no result', { jsonrpc: '2.0', method: 'x', params: { tools: [{ name: 'b' }] } }],
  ['a list inside a tool’s result', answer({ structuredContent: { tools: [{ name: 'b' }] } })],
  ['no object', 7],
  ['nothing', null],
  ['a batch of nothing', []],
])('the same object where there was nothing to take out: %s', (_what, message) => {
  expect(filterLists(message, hides('tool b'))).toBe(message);
});
