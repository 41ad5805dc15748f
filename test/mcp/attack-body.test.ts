/** Bodies that say one thing to the gateway and another to a careless server. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  type Attack,
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

const CALL = toolCall('delete_document');
const PING = message('ping');
const FREE = toolCall('read_document', 7);
const typed = (type: string): [string, string][] => [['Content-Type', type]];
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();
const named = (name: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${name}}}`;
const called = (method: string) =>
  `{"jsonrpc":"2.0","id":1,"method":${method},"params":{"name":"delete_document"}}`;
const inside = (members: string) => `{"jsonrpc":"2.0","id":1,${members}}`;

const ATTACKS: [string, Attack][] = [
  ['the call as it is', { body: CALL }],
  ['as a notification', { body: JSON.stringify({ ...JSON.parse(CALL), id: undefined }) }],
  // Duplicate members.
  ['a harmless name, and the real one after it', { body: named('"read","name":"delete_document"') }],
  ['the real name, and a harmless one after it', { body: named('"delete_document","name":"read"') }],
  ['the second name with an escape', { body: named('"read","n\\u0061me":"delete_document"') }],
  [
    'the params twice',
    { body: inside('"method":"tools/call","params":{"name":"read"},"params":{"name":"delete_document"}') },
  ],
  ['the method twice', { body: called('"ping","method":"tools/call"') }],
  // Members in other letters.
  [
    'Method for method',
    { body: inside('"Method":"tools/call","method":"ping","params":{"name":"delete_document"}') },
  ],
  ['METHOD alone', { body: inside('"METHOD":"tools/call","params":{"name":"delete_document"}') }],
  [
    'Params for params',
    { body: inside('"method":"tools/call","Params":{"name":"delete_document"},"params":{"name":"read"}') },
  ],
  ['Name for name', { body: named('"read","Name":"delete_document"') }],
  ['name in wide letters', { body: named('"read","ｎａｍｅ":"delete_document"') }],
  ['name with a space after it', { body: named('"read","name ":"delete_document"') }],
  ['name with a sign nobody sees', { body: named('"read","na\\u200bme":"delete_document"') }],
  ['name with an accent', { body: named('"read","náme":"delete_document"') }],
  // The method.
  ['the method in capitals', { body: called('"TOOLS/CALL"') }],
  ['the method with a capital', { body: called('"tools/Call"') }],
  ['the method with a space', { body: called('"tools/call "') }],
  ['the method with NUL', { body: called('"tools/call\\u0000"') }],
  ['the method with a line feed', { body: called('"\\ntools/call"') }],
  ['the method in wide letters', { body: called('"ｔools/call"') }],
  ['the method with its slash escaped for URLs', { body: called('"tools%2fcall"') }],
  ['the method in a list', { body: called('["tools/call"]') }],
  // Shapes.
  ['the params as a list', { body: inside('"method":"tools/call","params":[{"name":"delete_document"}]') }],
  ['the name in a list', { body: named('["delete_document"]') }],
  ['the name in an object', { body: named('{"value":"delete_document"}') }],
  [
    'the name under a name of prototypes',
    { body: inside('"method":"tools/call","params":{"__proto__":1,"name":["delete_document"]}') },
  ],
  [
    'a call inside an answer',
    { body: inside('"result":{},"method":"tools/call","params":{"name":"delete_document"}') },
  ],
  ['a call wrapped in another object', { body: `{"message":${CALL}}` }],
  ['a call of another JSON-RPC', { body: CALL.replace('"2.0"', '"1.0"') }],
  ['an id that is an object', { body: CALL.replace('"id":1', '"id":{"a":1}') }],
  ['an id longer than any answer should repeat', { body: toolCall('delete_document', 'x'.repeat(100_000)) }],
  ['a number too large to be repeated to the letter', { body: CALL.replace('"id":1', '"id":1e400') }],
  // Batches.
  ['a batch with one bad call', { body: `[${FREE},${CALL}]` }],
  ['a batch with the bad call first', { body: `[${CALL},${FREE}]` }],
  ['a batch in a batch', { body: `[[${CALL}]]` }],
  ['a batch with one id twice', { body: `[${toolCall('read', 1)},${toolCall('delete_document', 1)}]` }],
  ['a batch that begins a session', { body: `[${message('initialize', {}, 9)},${CALL}]` }],
  ['a batch of a thousand, the bad one last', { body: `[${`${PING},`.repeat(1000)}${CALL}]` }],
  // Bytes.
  ['a byte order mark before it', { body: `\uFEFF${CALL}` }],
  [
    'in UTF-16, said so',
    { body: Buffer.from(CALL, 'utf16le'), headers: typed('application/json; charset=utf-16') },
  ],
  ['in UTF-16, not said so', { body: utf16be(CALL) }],
  ['in UTF-16 with its mark', { body: Buffer.from(`\uFEFF${CALL}`, 'utf16le') }],
  [
    'in UTF-7',
    {
      body: `+AHs-${named('"x+IgAs-"').slice(1).replace('x', 'delete_document+ACI-,+ACI-x')}`,
      headers: typed('application/json; charset=utf-7'),
    },
  ],
  [
    'a broken byte in it',
    { body: Buffer.concat([Buffer.from(CALL.slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')]) },
  ],
  ['packed with gzip, said so', { body: gzipSync(CALL), headers: [['Content-Encoding', 'gzip']] }],
  ['packed with gzip, not said so', { body: gzipSync(CALL) }],
  ['packed with deflate', { body: deflateSync(CALL), headers: [['Content-Encoding', 'deflate']] }],
  [
    'packed with brotli, said twice',
    {
      body: brotliCompressSync(CALL),
      headers: [
        ['Content-Encoding', 'identity'],
        ['Content-Encoding', 'br'],
      ],
    },
  ],
  ['two values', { body: `${PING}${CALL}` }],
  ['two values on two lines', { body: `${PING}\n${CALL}` }],
  ['rubbish after it', { body: `${CALL} // and that was all` }],
  ['a comma too many', { body: `[${PING},${CALL},]` }],
  ['NUL after a harmless one', { body: `${PING}\0${CALL}` }],
  ['nested too deep to look at', { body: `${'['.repeat(300)}${CALL}${']'.repeat(300)}` }],
  // Types.
  ['as text', { body: CALL, headers: typed('text/plain') }],
  [
    'as a form of several parts',
    { body: `--b\r\n\r\n${CALL}\r\n--b--`, headers: typed('multipart/form-data; boundary=b') },
  ],
  [
    'as a form',
    { body: `body=${encodeURIComponent(CALL)}`, headers: typed('application/x-www-form-urlencoded') },
  ],
  ['as JSON of another kind', { body: CALL, headers: typed('application/json-rpc') }],
  ['as JSON with a second type after it', { body: CALL, headers: typed('application/json, text/plain') }],
  ['as nothing', { body: CALL, headers: typed('') }],
  ['in the body of a GET', { method: 'GET', body: CALL }],
  ['in the body of a DELETE', { method: 'DELETE', body: CALL }],
  ['with a method of HTTP nobody knows', { method: 'PATCH', body: CALL }],
  ['with PUT', { method: 'PUT', body: CALL }],
];

describe('a tool that is denied does not run', () => {
  it.each(ATTACKS)('%s', async (_name, call) => {
    await world.direct(call);
    expect([...world.coda.ran], 'the attack would work without the gateway').toContain('delete_document');
    world.coda.reset();

    const reply = await world.attack(call);
    expect([...world.coda.ran]).not.toContain('delete_document');
    for (const { body, method } of world.coda.requests) {
      // Only a GET or DELETE may come through at all, and without what they carried.
      expect(['GET', 'DELETE']).toContain(method);
      expect(body).toHaveLength(0);
    }
    if (world.coda.requests.length === 0) {
      expect(reply.text).toMatch(/"error"/);
      expect(reply.text).not.toContain('done');
    }
    expectNothingLeaked(world, reply);
  });
});

it('the gateway lets a call that is allowed through to the same server', async () => {
  const reply = await world.attack({ body: FREE });
  expect([...world.coda.ran]).toEqual(['read_document']);
  expect(reply.body).toContain('done');
});
