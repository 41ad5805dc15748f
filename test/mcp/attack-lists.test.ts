/** Lists that come in ways nobody asked for: none may name what the agent may not use. */
import type { ServerResponse } from 'node:http';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type AttackWorld,
  expectNothingLeaked,
  message,
  shareAttackWorld,
  toolCall,
} from '../support/attack-world.ts';

let world: AttackWorld;
let session: [string, string][];
shareAttackWorld((given) => {
  world = given;
});
beforeAll(async () => {
  const { text } = await world.attack({ body: message('initialize', {}) });
  session = [['Mcp-Session-Id', /^mcp-session-id: (.*)$/im.exec(text)?.[1] ?? '']];
});

const tool = (name: string) => ({ name, inputSchema: { type: 'object' } });
const TOOLS = { tools: [tool('read_document'), tool('delete_document')] };
const answer = (result: unknown, id: unknown = 1) => JSON.stringify({ jsonrpc: '2.0', id, result });
const LIST = answer(TOOLS);
const CALL = toolCall('read_document');
const ASK = message('tools/list');

/** One answer: its type, its body in one piece or several, and other headers. */
interface Given {
  type?: string | string[] | undefined;
  body: string | Buffer | (string | Buffer)[];
  headers?: Record<string, string>;
  status?: number;
}

function give({ type = 'application/json', body, headers = {}, status = 200 }: Given) {
  world.coda.answerWith(async (_request, response: ServerResponse) => {
    if (type !== '') response.setHeader('content-type', type);
    response.writeHead(status, headers);
    for (const piece of [body].flat()) await new Promise((written) => response.write(piece, written));
    response.end();
  });
}

async function expectHidden(given: Given, call: { method?: string; body?: string } = { body: ASK }) {
  give(given);
  const reply = await world.attack({ ...call, headers: session });
  expect(world.coda.requests).toHaveLength(1);
  const bytes = [reply.text, reply.text.replaceAll('\0', '')].join();
  expect(bytes).not.toMatch(/delete_document|delete\\u005fdocument/);
  expectNothingLeaked(world, reply);
  return reply;
}

const event = (text: string) => `data: ${text}\n\n`;
const STREAM = 'text/event-stream';
const [BEGIN, END] = [LIST.slice(0, 40), LIST.slice(40)];

describe('a list without what is denied', () => {
  it.each<[string, Given]>([
    ['as it should be', { body: LIST }],
    ['one page of several', { body: answer({ ...TOOLS, nextCursor: 'more' }) }],
    ['in a batch', { body: `[${answer({}, 2)},${LIST}]` }],
    ['as the answer to something else', { body: answer(TOOLS, 'another') }],
    ['in many pieces', { body: [...LIST] }],
    ['with the charset said', { type: 'application/json; charset=utf-8', body: LIST }],
    ['with its type in capitals', { type: 'APPLICATION/JSON', body: LIST }],
    ['with spaces around it', { body: `\n  ${LIST}\n` }],
    ['as JSON-RPC', { type: 'application/json-rpc', body: LIST }],
    ['as a problem', { type: 'application/problem+json', body: LIST }],
    ['as a problem, and said to be one', { type: 'application/problem+json', body: LIST, status: 400 }],
    ['as text', { type: 'text/plain', body: LIST }],
    ['as bytes', { type: 'application/octet-stream', body: LIST }],
    ['as nothing', { type: '', body: LIST }],
    ['after a byte order mark', { body: `\uFEFF${LIST}` }],
    ['with names escaped', { body: LIST.replace('"tools"', '"\\u0074ools"') }],
    ['in events', { type: STREAM, body: event(LIST) }],
    ['in events with the charset said', { type: `${STREAM}; charset=utf-8`, body: event(LIST) }],
    ['in events with another charset said', { type: `${STREAM};charset=utf-16`, body: event(LIST) }],
    ['in events with the type in capitals', { type: 'Text/Event-Stream', body: event(LIST) }],
    [
      'in an event of several lines',
      {
        type: STREAM,
        body: `data: ${BEGIN}\ndata: ${END}\n\n`.replace(BEGIN, '{').replace(END, LIST.slice(1)),
      },
    ],
    ['in an event cut anywhere', { type: STREAM, body: [...event(LIST)] }],
    ['in an event with CRLF', { type: STREAM, body: `data: ${LIST}\r\n\r\n` }],
    ['in an event with CR', { type: STREAM, body: `data: ${LIST}\r\r` }],
    ['in an event with all of them', { type: STREAM, body: `: x\r\nid: 1\rdata: ${LIST}\n\r\n` }],
    ['in an event after a byte order mark', { type: STREAM, body: `\uFEFF${event(LIST)}` }],
    ['in an event without a space', { type: STREAM, body: `data:${LIST}\n\n` }],
    ['in an event of another name', { type: STREAM, body: `event: other\n${event(LIST)}` }],
    ['in an event after a mark inside', { type: STREAM, body: event(`\uFEFF${LIST}`) }],
    ['in a batch in an event', { type: STREAM, body: event(`[${LIST}]`) }],
    ['in the second event', { type: STREAM, body: event(answer({}, 5)) + event(LIST) }],
    ['packed with gzip', { body: gzipSync(LIST), headers: { 'content-encoding': 'gzip' } }],
    ['packed with deflate', { body: deflateSync(LIST), headers: { 'content-encoding': 'deflate' } }],
    ['packed with brotli', { body: brotliCompressSync(LIST), headers: { 'content-encoding': 'BR' } }],
    ['packed with zstd', { body: zstdCompressSync(LIST), headers: { 'content-encoding': 'zstd' } }],
    [
      'in packed events',
      { type: STREAM, body: gzipSync(event(LIST)), headers: { 'content-encoding': 'x-gzip' } },
    ],
  ])('%s', async (_how, given) => {
    const { text } = await expectHidden(given);
    expect(text).toContain('read_document');
  });
});

describe('what could be a list to somebody is not passed on', () => {
  it.each<[string, Given]>([
    [
      'two results in one answer',
      { body: LIST.replace('"result"', '"result":{},"result"').replace('delete_document', 'x') },
    ],
    ['rubbish after it', { body: `${LIST} // that was all` }],
    ['two values', { body: `{}\n${LIST}` }],
    ['UTF-16', { type: 'application/json; charset=utf-16', body: Buffer.from(LIST, 'utf16le') }],
    ['UTF-16 with its mark', { body: Buffer.from(`\uFEFF${LIST}`, 'utf16le') }],
    ['a comma too many', { body: LIST.replace('}]}', '}],}') }],
    ['rubbish after it in an event', { type: STREAM, body: event(`${LIST}.`) }],
    ['events that some would take for JSON', { type: `application/json, ${STREAM}`, body: event(LIST) }],
    ['JSON that some would take for events', { type: `application/json; profile="${STREAM}"`, body: LIST }],
    ['two types', { type: ['application/json', STREAM], body: event(LIST) }],
    ['packed, and not said so', { body: gzipSync(LIST) }],
    ['packed in a way nobody knows', { body: LIST, headers: { 'content-encoding': 'rot13' } }],
    ['packed twice', { body: gzipSync(gzipSync(LIST)), headers: { 'content-encoding': 'gzip, gzip' } }],
    ['packed badly', { body: LIST, headers: { 'content-encoding': 'gzip' } }],
    [
      'longer than may be held',
      { body: LIST.replace('"tools"', `"x":"${'x'.repeat(17 * 1024 * 1024)}","tools"`) },
    ],
  ])('%s', async (what, given) => {
    const { text } = await expectHidden(given);
    if (what !== 'two results in one answer') expect(text).not.toContain('read_document');
  });

  it('the first of two results', async () => {
    const both = LIST.replace(/\}$/, `,"result":${JSON.stringify({ tools: [tool('read_document')] })}}`);
    await expectHidden({ body: both });
    world.coda.reset();
    await expectHidden({ type: STREAM, body: event(both) });
  });
});

describe('a list that comes elsewhere is filtered too', () => {
  it.each<[string, Given, { method?: string; body?: string }]>([
    ['as the answer to a call', { body: LIST }, { body: CALL }],
    [
      'on the stream of a call',
      { type: STREAM, body: event(answer(TOOLS, 9)) + event(answer({})) },
      { body: CALL },
    ],
    ['on the stream of a ping', { type: STREAM, body: event(LIST) }, { body: message('ping') }],
    [
      'as the answer to a notification',
      { body: LIST },
      { body: '{"jsonrpc":"2.0","method":"notifications/initialized"}' },
    ],
    ['as the answer to an answer', { body: LIST }, { body: '{"jsonrpc":"2.0","id":4,"result":{}}' }],
    ['on the stream without a question', { type: STREAM, body: event(LIST) }, { method: 'GET' }],
    ['as JSON to a GET', { body: LIST }, { method: 'GET' }],
    ['as the answer to a DELETE', { body: LIST, status: 405 }, { method: 'DELETE' }],
    ['as the result of a task', { body: LIST }, { body: message('tasks/result', { taskId: 'x' }) }],
  ])('%s', async (_where, given, call) => {
    const { text } = await expectHidden(given, call);
    expect(text).toContain('read_document');
  });

  it('on a stream that is taken up again', async () => {
    give({ type: STREAM, body: `id: 8\n${event(LIST)}` });
    const { text } = await world.attack({ method: 'GET', headers: [...session, ['Last-Event-ID', '7']] });
    expect(world.coda.requests[0]?.headers['last-event-id']).toBe('7');
    expect(text).toContain('read_document');
    expect(text).not.toContain('delete_document');
  });
});

describe('also hidden', () => {
  it.each([
    ['a denied prompt', { prompts: [{ name: 'secret_plan' }, { name: 'open' }] }, 'secret_plan'],
    ['a denied resource', { resources: [{ uri: 'file:///secret/a' }, { uri: 'file:///open' }] }, 'secret'],
    [
      'one that is written otherwise',
      { resources: [{ uri: 'file:///x/../%73ecret/a' }, { uri: 'file:///open' }] },
      '%73',
    ],
    [
      'a denied template',
      { resourceTemplates: [{ uriTemplate: 'file:///secret/{a}' }, { uriTemplate: 'open' }] },
      'secret',
    ],
    ['a tool without a name', { tools: [{ title: 'odd_one' }, tool('open')] }, 'odd_one'],
    ['a tool whose name is no text', { tools: [{ name: ['odd_one'] }, tool('open')] }, 'odd_one'],
  ])('%s', async (_what, result, hidden) => {
    give({ body: answer(result) });
    const { body } = await world.attack({ body: ASK });
    expect(body).toContain('open');
    expect(body).not.toContain(hidden);
  });
});

it('an agent without rules is given every byte as the server sent it', async () => {
  const odd = LIST.replace('"result"', '"result":{},"result"');
  give({ type: 'application/json-rpc', body: odd });
  expect((await world.attack({ body: ASK }, 'free')).body).toBe(odd);
});
