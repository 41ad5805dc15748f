/** Requests that are two things: another call in the headers than in the body, another end than they say. */
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

const PING = message('ping');
const READ = toolCall('read_document');
const DELETE = toolCall('delete_document');
const packed = (name: string) => `=?base64?${Buffer.from(name).toString('base64')}?=`;

describe('headers that say something else than the body are refused', () => {
  it.each<[string, Attack]>([
    [
      'another method',
      {
        body: PING,
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'another name',
      {
        body: READ,
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'another name in Base64',
      {
        body: READ,
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', packed('delete_document')],
        ],
      },
    ],
    [
      'another name in BASE64',
      {
        body: toolCall(packed('delete_document').replace('base64', 'BASE64')),
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', packed('delete_document').replace('base64', 'BASE64')],
        ],
      },
    ],
    [
      'a name in Base64 without its end',
      { body: message('tools/list'), headers: [['Mcp-Name', '=?base64?ZGVsZXRlX2RvY3VtZW50IA?=']] },
    ],
    [
      'a name where there is none',
      { body: message('tools/list'), headers: [['Mcp-Name', 'delete_document']] },
    ],
    [
      'two methods',
      {
        body: READ,
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Method', 'ping'],
        ],
      },
    ],
    [
      'two names',
      {
        body: READ,
        headers: [
          ['Mcp-Name', 'read_document'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'one call over a batch',
      {
        body: `[${READ},${PING.replace('1', '2')}]`,
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'a call over an answer',
      {
        body: '{"jsonrpc":"2.0","id":1,"result":{}}',
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'a call over a GET',
      {
        method: 'GET',
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
    [
      'a call over a DELETE',
      {
        method: 'DELETE',
        headers: [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', 'delete_document'],
        ],
      },
    ],
  ])('%s', async (_what, call) => {
    const reply = await world.attack(call);
    expect(reply.status).toBe(400);
    expect(world.coda.requests).toEqual([]);
  });

  it('a name in Base64 that is the name of the body passes, and one that is denied does not', async () => {
    const named = (name: string) => ({
      body: toolCall(name),
      headers: [
        ['Mcp-Method', 'tools/call'],
        ['Mcp-Name', packed(name)],
      ] as [string, string][],
    });
    expect((await world.attack(named('read_dócument'))).body).toContain('done');
    world.coda.reset();
    expect((await world.attack(named('delete_document'))).body).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });
});

describe('a request that ends in two places is refused', () => {
  const hidden = `POST /mcp/other HTTP/1.1\r\nHost: x\r\nContent-Length: ${DELETE.length}\r\n\r\n${DELETE}`;
  it.each<[string, Attack]>([
    [
      'by length and by chunks',
      {
        headers: [
          ['Content-Length', '5'],
          ['Transfer-Encoding', 'chunked'],
        ],
        body: `0\r\n\r\n${hidden}`,
      },
    ],
    [
      'by two lengths',
      {
        headers: [
          ['Content-Length', String(PING.length)],
          ['Content-Length', '999'],
        ],
        body: PING + hidden,
      },
    ],
    ['by chunks spelled oddly', { headers: [['Transfer-Encoding', 'xchunked']], body: `0\r\n\r\n${hidden}` }],
    [
      'by chunks twice',
      { headers: [['Transfer-Encoding', 'chunked, chunked, identity']], body: `0\r\n\r\n${hidden}` },
    ],
    ['by a header folded over two lines', { headers: [['X-A', 'b\r\n Content-Length: 3']], body: DELETE }],
    ['by a header with a space before its colon', { headers: [['Content-Length ', '3']], body: DELETE }],
    [
      'by a bare line feed',
      { headers: [['X-A', 'b\nTransfer-Encoding: chunked']], body: `0\r\n\r\n${hidden}` },
    ],
    ['by a length that is none', { headers: [['Content-Length', '+9']], body: DELETE }],
  ])('%s', async (_how, call) => {
    const reply = await world.attack(call);
    expect(reply.text).not.toContain('done');
    expect([...world.coda.ran]).toEqual([]);
    expectNothingLeaked(world, reply);
  });

  it('and one that wants to be asked to go on is read like any other', async () => {
    const reply = await world.attack({ headers: [['Expect', '100-continue']], body: DELETE });
    expect(reply.text).toContain('"forbidden"');
    expect(world.coda.requests).toEqual([]);
  });
});
