import { describe, expect, it } from 'vitest';
import {
  AmbiguousMessage,
  fold,
  isKnownMethod,
  isRepeatable,
  type McpMessage,
  mayAnswerWithList,
  nameHeaderOf,
  readMessages,
  wantedBy,
} from '../../src/core/mcp-message.ts';

const read = (members: object) => readMessages({ jsonrpc: '2.0', ...members });
const request = (method: string, params: Record<string, unknown> = {}): McpMessage => ({
  ...{ kind: 'request', id: 1, method, params },
});

describe('a message', () => {
  it.each<[string, object, McpMessage]>([
    ['a request', { id: 1, method: 'ping' }, request('ping')],
    [
      'a request with a text as id',
      { id: 'a', method: 'x/y', params: { a: 1 } },
      { kind: 'request', id: 'a', method: 'x/y', params: { a: 1 } },
    ],
    [
      'a notification',
      { method: 'notifications/initialized' },
      { kind: 'notification', method: 'notifications/initialized', params: {} },
    ],
    ['an answer', { id: 1, result: {} }, { kind: 'response' }],
    ['a refusal', { id: null, error: { code: 1, message: 'x' } }, { kind: 'response' }],
  ])('is read: %s', (_what, members, message) => {
    expect(read(members)).toEqual([message]);
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', 'x', /is not a JSON object/],
    ['null', null, /is not a JSON object/],
    ['another revision', { jsonrpc: '1.0', id: 1, method: 'ping' }, /is not of JSON-RPC 2.0/],
    ['no revision', { id: 1, method: 'ping' }, /is not of JSON-RPC 2.0/],
    ['a strange member', { jsonrpc: '2.0', id: 1, method: 'ping', Method: 'x' }, /does not know/],
    ['nothing', { jsonrpc: '2.0', id: 1 }, /neither request nor answer/],
    ['both answers', { jsonrpc: '2.0', id: 1, result: {}, error: {} }, /neither request nor answer/],
    ['answer and request', { jsonrpc: '2.0', id: 1, method: 'ping', result: {} }, /at once/],
    ['an answer with params', { jsonrpc: '2.0', id: 1, result: {}, params: {} }, /with params/],
    ['no text as method', { jsonrpc: '2.0', id: 1, method: 1 }, /no proper method/],
    ['an empty method', { jsonrpc: '2.0', id: 1, method: '' }, /no proper method/],
    ['a method with a space', { jsonrpc: '2.0', id: 1, method: 'ping ' }, /no proper method/],
    ['a long method', { jsonrpc: '2.0', id: 1, method: 'x'.repeat(129) }, /no proper method/],
    [
      'a method in other letters',
      { jsonrpc: '2.0', id: 1, method: 'Tools/Call' },
      /tools\/call in another way/,
    ],
    ['a list as params', { jsonrpc: '2.0', id: 1, method: 'ping', params: [] }, /params that are no object/],
    ['null as params', { jsonrpc: '2.0', id: 1, method: 'ping', params: null }, /params that are no object/],
    [
      'Name',
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { Name: 'x' } },
      /parameter name in another/,
    ],
    ['null as id', { jsonrpc: '2.0', id: null, method: 'ping' }, /has an id/],
    ['a fraction as id', { jsonrpc: '2.0', id: 1.5, method: 'ping' }, /has an id/],
    ['a number beyond all as id', { jsonrpc: '2.0', id: 2 ** 53, method: 'ping' }, /has an id/],
    ['a long id', { jsonrpc: '2.0', id: 'x'.repeat(257), method: 'ping' }, /has an id/],
    ['an empty batch', [], /empty batch/],
  ])('is refused: %s', (_what, body, why) => {
    expect(() => readMessages(body)).toThrow(AmbiguousMessage);
    expect(() => readMessages(body)).toThrow(why);
  });
});

describe('a batch', () => {
  const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });

  it('is read in order, up to 100 messages', () => {
    const ids = Array.from({ length: 100 }, (_, index) => index);
    expect(readMessages(ids.map(ping)).map((each) => each.kind === 'request' && each.id)).toEqual(ids);
    expect(() => readMessages([...ids, 100].map(ping))).toThrow(/more than 100/);
  });

  it.each<[string, unknown[], RegExp]>([
    ['an id twice', [ping(1), ping(1)], /one id twice/],
    ['an id twice, once as text', [ping(1), ping('1')], /one id twice/],
    ['another batch', [[ping(1)]], /is not a JSON object/],
    ['a session begun', [ping(1), { jsonrpc: '2.0', id: 2, method: 'initialize' }], /begins a session/],
  ])('is refused with %s', (_what, body, why) => {
    expect(() => readMessages(body)).toThrow(why);
  });
});

describe('what a message uses', () => {
  it.each<[string, Record<string, unknown>, object[]]>([
    ['tools/call', { name: 'a' }, [{ kind: 'tool', name: 'a' }]],
    ['prompts/get', { name: 'a' }, [{ kind: 'prompt', name: 'a' }]],
    ['resources/read', { uri: 'x:a' }, [{ kind: 'resource', name: 'x:a' }]],
    ['resources/subscribe', { uri: 'x:a' }, [{ kind: 'resource', name: 'x:a' }]],
    ['resources/unsubscribe', { uri: 'x:a' }, [{ kind: 'resource', name: 'x:a' }]],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'a' } }, [{ kind: 'prompt', name: 'a' }]],
    [
      'completion/complete',
      { ref: { type: 'ref/resource', uri: 'x:a' } },
      [{ kind: 'resource', name: 'x:a' }],
    ],
    [
      'subscriptions/listen',
      { notifications: { resourceSubscriptions: ['x:a', 'x:b'] } },
      [
        { kind: 'resource', name: 'x:a' },
        { kind: 'resource', name: 'x:b' },
      ],
    ],
    ['subscriptions/listen', {}, []],
    ['tools/list', { name: 'a' }, []],
  ])('%s %j', (method, params, wanted) => {
    expect(wantedBy(request(method, params))).toEqual(wanted);
  });

  it.each<[string, Record<string, unknown>]>([
    ['tools/call', {}],
    ['tools/call', { name: ['a'] }],
    ['prompts/get', { name: 1 }],
    ['resources/read', { uri: null }],
    ['completion/complete', {}],
    ['completion/complete', { ref: [{ type: 'ref/prompt', name: 'a' }] }],
    ['completion/complete', { ref: { type: 'ref/tool', name: 'a' } }],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'a', Name: 'b' } }],
    ['subscriptions/listen', { notifications: { resourceSubscriptions: 'x:a' } }],
    ['subscriptions/listen', { notifications: { ResourceSubscriptions: ['x:a'] } }],
  ])('must be said: %s %j', (method, params) => {
    expect(() => wantedBy(request(method, params))).toThrow(AmbiguousMessage);
  });
});

it.each([
  ['Delete_Document', 'delete_document'],
  ['ｄelete', 'delete'],
  ['de\u200blete\ufe0f \u00ad', 'delete'],
  ['délete', 'delete'],
  ['Straße', 'strasse'],
  ['lıst', 'list'],
  ['LİST', 'list'],
  ['\u212aey', 'key'],
])('%j is taken for %j', (text, same) => {
  expect(fold(text)).toBe(same);
});

it('methods are known in any letters, and lists may come from those nobody knows', () => {
  expect(['tools/call', 'Tools/Call', 'server/discover'].map(isKnownMethod)).toEqual([true, true, true]);
  expect(isKnownMethod('tools/execute')).toBe(false);
  const listing = ['tools/list', 'resources/templates/list', 'tasks/result', 'x/y'];
  expect(listing.map(mayAnswerWithList)).toEqual([true, true, true, true]);
  expect(['tools/call', 'ping', 'initialize'].map(mayAnswerWithList)).toEqual([false, false, false]);
});

it('only what changes nothing may be asked twice', () => {
  expect(isRepeatable([request('tools/list'), request('ping')])).toBe(true);
  expect(isRepeatable([request('ping'), request('tools/call')])).toBe(false);
  expect(isRepeatable([{ kind: 'response' }])).toBe(false);
  expect(isRepeatable([{ kind: 'notification', method: 'ping', params: {} }])).toBe(false);
});

it.each([
  ['tools/call', { name: 'a' }, 'a'],
  ['resources/read', { uri: 'x:a' }, 'x:a'],
  ['tasks/get', { taskId: 't' }, 't'],
  ['tools/call', { name: 1 }, undefined],
  ['tools/list', { name: 'a' }, undefined],
  ['constructor', { name: 'a' }, undefined],
])('Mcp-Name of %s %j is %j', (method, params, name) => {
  expect(nameHeaderOf({ method, params })).toBe(name);
});
