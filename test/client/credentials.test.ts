/** Credentials of each kind as an operator enters them, from a real daemon to a server that wants them. */
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { brokerAuth, brokerFetch } from '../../src/client/index.ts';
import type { StaticCredential } from '../../src/core/entered.ts';
import { Secret } from '../../src/secret.ts';
import { type ClientWorld, startClientWorld } from '../support/client-world.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';

const OK: RawAnswer = { status: 200, body: 'fine' };
const REFUSED: RawAnswer = { status: 401, body: 'no' };
const [TOKEN, HEADERS, SHOW] = ['/token', '/headers', ''].map(
  (route) => `GET /v1/connections/files${route}`,
) as [string, string, string];
const POST = TOKEN.replace('GET', 'POST');

let test: ClientWorld;
/** The server of the connection `files`, made anew for each test. */
let server: RawServer;
let answer: (request: RawRequest) => RawAnswer;
let api: string;

beforeAll(async () => {
  test = await startClientWorld();
});

afterAll(() => test.close());

beforeEach(async () => {
  answer = () => OK;
  server = await startRawServer((request) => answer(request));
  api = `${server.url}/api`;
  test.asked.length = 0;
});

afterEach(async () => {
  await test.broker.logout({ kind: 'operator' }, 'files');
  await server.close();
});

const enter = (credential: StaticCredential) =>
  test.broker.addStatic({ name: 'files', url: api, credential });
const enterHeaders = (values: Record<string, string>) =>
  enter({
    kind: 'headers',
    headers: Object.entries(values).map(([name, value]) => ({
      header: { name, template: '{{token}}' },
      value: new Secret(value),
    })),
  });
const enterToken = (token: string) => enter({ kind: 'bearer', token: new Secret(token) });

/** Takes those whose header `name` is `value`. */
const wants = (name: string, value: string) => {
  answer = ({ headers }) => (headers[name] === value ? OK : REFUSED);
};

const asked = () => test.asked.toSorted();
const seen = (name: string) => server.requests.map(({ headers }) => headers[name]);

describe('headers', () => {
  it('are sent, and asked for once, however many calls there are', async () => {
    await enterHeaders({ 'X-Api-Key': 'fake-first', 'X-Team': 'blue\tgreen' });
    const fetch = brokerFetch(test.options('files'));
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(api)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(server.requests[19]?.headers).toMatchObject({
      'x-api-key': 'fake-first',
      'x-team': 'blue\tgreen',
    });
    expect(server.requests[19]?.headers).not.toHaveProperty('authorization');
    await fetch(api);
    expect(asked()).toEqual([SHOW, HEADERS, TOKEN]);
  });

  it('that were entered anew are fetched after a 401, once for all who were refused', async () => {
    await enterHeaders({ 'X-Api-Key': 'fake-first' });
    const fetch = brokerFetch(test.options('files'));
    await fetch(api);
    await enterHeaders({ 'X-Api-Key': 'fake-second' });
    wants('x-api-key', 'fake-second');
    test.asked.length = 0;
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(api)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(asked()).toEqual([SHOW, HEADERS, TOKEN]);
  });

  it('that are refused and as new as can be are not sent again: the 401 is the answer', async () => {
    await enterHeaders({ 'X-Api-Key': 'fake-first' });
    answer = () => REFUSED;
    const fetch = brokerFetch(test.options('files'));
    expect(await (await fetch(api)).text()).toBe('no');
    expect(server.requests).toHaveLength(1);
  });

  it('do not go to another server, neither directly nor by a redirect', async () => {
    await enterHeaders({ 'X-Api-Key': 'fake-first', 'X-Team': 'blue' });
    const stranger = await startRawServer(() => ({ status: 200, body: 'else' }));
    const fetch = brokerFetch(test.options('files'));
    await expect(fetch(`${stranger.url}/api`)).rejects.toMatchObject({ code: 'resource_mismatch' });
    answer = () => ({ status: 307, headers: { location: `${stranger.url}/else` } });
    expect(await (await fetch(api)).text()).toBe('else');
    expect(stranger.requests).toHaveLength(1);
    expect(stranger.requests[0]?.headers).not.toHaveProperty('x-api-key');
    expect(stranger.requests[0]?.headers).not.toHaveProperty('x-team');
    await stranger.close();
  });

  it('are told to brokerAuth, which can only give tokens', async () => {
    await enterHeaders({ 'X-Api-Key': 'fake-first' });
    await expect(brokerAuth(test.options('files')).token()).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('its kind is headers'),
      nextStep: expect.stringContaining('/headers'),
    });
  });
});

describe('a token entered by hand', () => {
  it('is sent as bearer, and asked for once', async () => {
    await enterToken('fake-pat');
    wants('authorization', 'Bearer fake-pat');
    const fetch = brokerFetch(test.options('files'));
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(api)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await brokerAuth(test.options('files')).token()).toBe('fake-pat');
    expect(asked()).toEqual([TOKEN, TOKEN]);
  });

  it('that was replaced is fetched after a 401, with the generation that was refused', async () => {
    await enterToken('fake-first');
    const fetch = brokerFetch(test.options('files'));
    const auth = brokerAuth(test.options('files'));
    await Promise.all([fetch(api), auth.token()]);
    await enterToken('fake-second');
    wants('authorization', 'Bearer fake-second');
    expect((await fetch(api)).status).toBe(200);
    await auth.onUnauthorized();
    expect(await auth.token()).toBe('fake-second');
    expect(asked()).toEqual([TOKEN, TOKEN, POST, POST]);
  });

  it('that is refused and as new as can be is for the operator to replace', async () => {
    await enterToken('fake-pat');
    answer = () => REFUSED;
    const fetch = brokerFetch(test.options('files'));
    await expect(fetch(api)).rejects.toMatchObject({
      code: 'login_required',
      nextStep: 'broker add files --bearer-file <file>',
    });
    expect(server.requests).toHaveLength(1);
  });
});

describe('another kind than before', () => {
  it('is noticed at the first 401: headers in place of a token, and a token in place of headers', async () => {
    await enterToken('fake-pat');
    const fetch = brokerFetch(test.options('files'));
    await fetch(api);
    await enterHeaders({ 'X-Api-Key': 'fake-first' });
    wants('x-api-key', 'fake-first');
    expect((await fetch(api)).status).toBe(200);
    expect(seen('authorization')).toEqual(['Bearer fake-pat', 'Bearer fake-pat', undefined]);
    await enterToken('fake-second');
    wants('authorization', 'Bearer fake-second');
    expect((await fetch(api)).status).toBe(200);
    expect(seen('x-api-key').slice(2)).toEqual(['fake-first', 'fake-first', undefined]);
  });

  it('is nothing at all, for a server that wants nothing', async () => {
    await enter({ kind: 'none' });
    const fetch = brokerFetch(test.options('files'));
    expect((await fetch(api, { headers: { 'x-mine': 'yes' } })).status).toBe(200);
    expect(server.requests[0]?.headers).toMatchObject({ 'x-mine': 'yes' });
    expect(server.requests[0]?.headers).not.toHaveProperty('authorization');
  });
});

describe('what no broker says', () => {
  it.each([
    ['a line break', { 'X-Api-Key': 'fake\r\nX-Evil: 1' }],
    ['a name that is none', { 'X Api Key': 'fake' }],
    ['a number', { 'X-Api-Key': 7 }],
    ['a list', ['fake']],
  ])('is not sent as headers, nor shown: %s', async (_, odd) => {
    await enter({ kind: 'none' });
    const daemon = await startRawServer(({ path }) => ({
      status: path.endsWith('/token') ? 400 : 200,
      body: path.endsWith('/token')
        ? { code: 'bad_request', detail: 'files has no bearer token' }
        : path.endsWith('/headers')
          ? odd
          : { url: api },
    }));
    const failed = brokerFetch({ ...test.options('files'), url: daemon.url })(api);
    const error = await failed.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'daemon_unreachable' });
    expect(inspect(error)).not.toContain('fake');
    expect(server.requests).toEqual([]);
    await daemon.close();
  });
});
