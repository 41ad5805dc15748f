/**
 * Connections with headers in place of a token. A daemon that answers by the contract of docs/api.md stands in here,
 * because what it keeps must change between two requests.
 */
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { brokerAuth, brokerFetch } from '../../src/client/index.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const NO_BEARER = { code: 'bad_request', detail: 'files has no bearer token', next_step: 'use /headers' };
const QUESTIONS = ['/v1/connections/files/token', '/v1/connections/files/headers', '/v1/connections/files'];

let daemon: RawServer;
let server: RawServer;
let headers: Record<string, unknown>;
let answer: RawAnswer;

beforeEach(async () => {
  headers = { 'X-Api-Key': 'fake-first', 'X-Team': 'blue' };
  answer = { status: 200, body: 'fine' };
  server = await startRawServer(() => answer);
  daemon = await startRawServer(({ path }) => {
    if (path.endsWith('/token')) return { status: 400, body: NO_BEARER };
    return {
      status: 200,
      body: path.endsWith('/headers') ? headers : { name: 'files', url: `${server.url}/api` },
    };
  });
});

afterEach(async () => {
  await server.close();
  await daemon.close();
});

const options = () => ({ connection: 'files', url: daemon.url, key: 'mtb_fake-agent-key' });
const asked = () => daemon.requests.map(({ path }) => path).sort();

it('are sent with their headers, asked for once', async () => {
  const fetch = brokerFetch(options());
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(`${server.url}/api`)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(server.requests[19]?.headers).toMatchObject({ 'x-api-key': 'fake-first', 'x-team': 'blue' });
  await fetch(`${server.url}/api`);
  expect(asked()).toEqual([...QUESTIONS].sort());
});

it('get the new headers after a 401, when there are any', async () => {
  const fetch = brokerFetch(options());
  await fetch(`${server.url}/api`);
  answer = { status: 401, body: 'no' };
  expect(await (await fetch(`${server.url}/api`)).text()).toBe('no');
  expect(server.requests).toHaveLength(2);
  headers = { 'X-Api-Key': 'fake-second' };
  await fetch(`${server.url}/api`);
  expect(server.requests.map((request) => request.headers['x-api-key'])).toEqual([
    'fake-first',
    'fake-first',
    'fake-first',
    'fake-second',
  ]);
});

it('do not take their headers to another server, neither directly nor by a redirect', async () => {
  const stranger = await startRawServer(() => ({ status: 200, body: 'else' }));
  const fetch = brokerFetch(options());
  await expect(fetch(`${stranger.url}/api`)).rejects.toMatchObject({ code: 'resource_mismatch' });
  answer = { status: 307, headers: { location: `${stranger.url}/else` } };
  expect(await (await fetch(`${server.url}/api`)).text()).toBe('else');
  expect(stranger.requests).toHaveLength(1);
  expect(stranger.requests[0]?.headers).not.toHaveProperty('x-api-key');
  expect(stranger.requests[0]?.headers).not.toHaveProperty('x-team');
  await stranger.close();
});

it.each([
  ['a line break', { 'X-Api-Key': 'fake\r\nX-Evil: 1' }],
  ['a name that is none', { 'X Api Key': 'fake' }],
  ['a number', { 'X-Api-Key': 7 }],
])('are not sent with %s, which is not shown either', async (_, odd) => {
  headers = odd;
  const error = await brokerFetch(options())(`${server.url}/api`).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'daemon_unreachable' });
  expect(inspect(error)).not.toContain('fake');
  expect(server.requests).toEqual([]);
});

it('say so to brokerAuth, which can only give tokens', async () => {
  await expect(brokerAuth(options()).token()).rejects.toMatchObject({
    code: 'bad_request',
    nextStep: 'use /headers',
  });
});
