import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCall } from '../../src/mcp/call.ts';
import { GatewayRefusal } from '../../src/mcp/refusal.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { sendRaw } from '../support/raw-http.ts';

const MOST = 500;
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    try {
      const { headers: _, body, ...call } = await readCall(request, MOST);
      response.end(JSON.stringify({ ...call, body: body?.toString() }));
    } catch (error) {
      if (!(error instanceof GatewayRefusal)) throw error;
      response.writeHead(error.status).end(JSON.stringify({ code: error.code, message: error.message }));
    }
  });
  port = Number(new URL(await listenOnLoopback(server)).port);
});
afterAll(() => closeServer(server));

const JSON_TYPE: [string, string] = ['Content-Type', 'application/json'];
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"löschen"}}';

async function read(body: string | Buffer, headers: [string, string][] = [JSON_TYPE], method = 'POST') {
  const reply = await sendRaw(port, { method, target: '/', headers, body });
  return { status: reply.status, ...JSON.parse(reply.body) };
}

describe('a request', () => {
  it('is read with its body as it came', async () => {
    const body = ` ${PING} `;
    expect(await read(body, [JSON_TYPE, ['Mcp-Session-Id', 's']])).toEqual({
      ...{ status: 200, verb: 'POST', sessionId: 's', isBatch: false, body },
      messages: [{ kind: 'request', id: 1, method: 'ping', params: {} }],
    });
  });

  it('of one message in a list is a batch', async () => {
    expect(await read(`[${PING}]`)).toMatchObject({ isBatch: true, messages: [{ method: 'ping' }] });
  });

  it.each(['GET', 'DELETE'])('with %s has no message, whatever its body', async (method) => {
    expect(await read(PING, [], method)).toEqual({ status: 200, verb: method, messages: [], isBatch: false });
  });

  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'Application/JSON',
  ])('of the type %s is taken', async (type) => {
    expect((await read(PING, [['Content-Type', type]])).status).toBe(200);
  });

  it.each<[string, string | Buffer, [string, string][], number, string]>([
    ['no type', PING, [], 415, 'bad_request'],
    ['another type', PING, [['Content-Type', 'text/json']], 415, 'bad_request'],
    ['another charset', PING, [['Content-Type', 'application/json; charset=latin1']], 415, 'bad_request'],
    ['another parameter', PING, [['Content-Type', 'application/json; x=y']], 415, 'bad_request'],
    ['a packed body', PING, [JSON_TYPE, ['Content-Encoding', 'gzip']], 415, 'bad_request'],
    ['no body', '', [JSON_TYPE], 400, 'parse_error'],
    ['a broken byte', Buffer.from([0x22, 0xff, 0x22]), [JSON_TYPE], 400, 'parse_error'],
    ['half a message', PING.slice(0, -1), [JSON_TYPE], 400, 'parse_error'],
    ['a member twice', PING.replace('{', '{"id":2,'), [JSON_TYPE], 400, 'parse_error'],
    ['a mark before it', `\uFEFF${PING}`, [JSON_TYPE], 400, 'parse_error'],
    ['no message', '{}', [JSON_TYPE], 400, 'bad_request'],
    ['more than it may', PING.padEnd(MOST + 1), [JSON_TYPE], 413, 'bad_request'],
  ])('with %s is refused', async (_what, body, headers, status, code) => {
    expect(await read(body, headers)).toMatchObject({ status, code });
  });

  it('as large as it may be is taken, and one byte more is not, also where its size is not said', async () => {
    const chunked: [string, string][] = [JSON_TYPE, ['Transfer-Encoding', 'chunked']];
    const inChunks = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    expect((await read(PING.padEnd(MOST))).status).toBe(200);
    expect((await read(inChunks(PING.padEnd(MOST)), chunked)).status).toBe(200);
    expect((await read(inChunks(PING.padEnd(MOST + 1)), chunked)).status).toBe(413);
  });

  it('with another method of HTTP is refused', async () => {
    expect(await read(PING, [JSON_TYPE], 'PUT')).toMatchObject({ status: 405, code: 'bad_request' });
  });
});

describe('what headers say of a message', () => {
  const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;

  it.each<[string, string, [string, string][], boolean]>([
    ['the same', PING, [['Mcp-Method', 'ping']], true],
    ['nothing of the name', CALL, [['Mcp-Method', 'tools/call']], true],
    [
      'the name in Base64',
      CALL,
      [
        ['Mcp-Method', 'tools/call'],
        ['Mcp-Name', base64('löschen')],
      ],
      true,
    ],
    ['another method', PING, [['Mcp-Method', 'tools/call']], false],
    ['the method in other letters', PING, [['Mcp-Method', 'PING']], false],
    ['another name', CALL, [['Mcp-Name', 'read']], false],
    ['another name in Base64', CALL, [['Mcp-Name', base64('read')]], false],
    ['the name in Base64 that is none', CALL, [['Mcp-Name', '=?base64?bMO2c2NoZW4?=']], false],
    ['a name where there is none', PING, [['Mcp-Name', 'ping']], false],
    ['a name that cannot be read where there is none', PING, [['Mcp-Name', '=?base64?!?=']], false],
    [
      'one method over a batch of two',
      `[${PING},${CALL.replace('1', '2')}]`,
      [['Mcp-Method', 'ping']],
      false,
    ],
    ['the method over a batch of one', `[${PING}]`, [['Mcp-Method', 'ping']], true],
    ['a method over an answer', '{"jsonrpc":"2.0","id":1,"result":{}}', [['Mcp-Method', 'ping']], false],
  ])('%s', async (_what, body, headers, isTaken) => {
    const { status, code } = await read(body, [JSON_TYPE, ...headers]);
    expect([status, code]).toEqual(isTaken ? [200, undefined] : [400, 'header_mismatch']);
  });

  it.each(['GET', 'DELETE'])('is nothing for %s', async (method) => {
    expect(await read('', [['Mcp-Method', 'tools/call']], method)).toMatchObject({ code: 'header_mismatch' });
    expect(await read('', [['Mcp-Name', 'x']], method)).toMatchObject({ code: 'header_mismatch' });
  });
});
