import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { brokerFetch } from '../../src/client/index.ts';
import { type ClientWorld, connectFiles, startClientWorld } from '../support/client-world.ts';
import { type RawAnswer, type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';

const GET = 'GET /v1/connections/files/token';
const OK: RawAnswer = { status: 200, body: 'fine' };
const REFUSED: RawAnswer = { status: 401, body: 'no' };

let test: ClientWorld;
/** The server of the connection `files`. */
let files: RawServer;
let answer: (request: RawRequest) => RawAnswer;
let api: string;

beforeEach(async () => {
  test = await startClientWorld();
  answer = () => REFUSED;
  files = await connectFiles(test, (request) => answer(request));
  api = `${files.url}/api`;
  test.asked.length = 0;
});

afterEach(async () => {
  await files.close();
  await test.close();
});

const bearer = async () => `Bearer ${(await test.broker.token(OPERATOR, 'files')).accessToken.reveal()}`;

describe('a redirect', () => {
  const to = (location: string, status = 302): RawAnswer => ({ status, headers: { location } });

  it('on the same server is followed with the token', async () => {
    answer = ({ path }) => (path === '/api' ? to('/api/next', 307) : OK);
    const response = await brokerFetch(test.options('files'))(api, { method: 'POST', body: 'kept' });
    expect(response.status).toBe(200);
    expect(files.requests[1]).toMatchObject({
      method: 'POST',
      path: '/api/next',
      body: 'kept',
      headers: { authorization: await bearer() },
    });
  });

  it('after a POST becomes a GET without a body, as in any fetch', async () => {
    answer = ({ path }) => (path === '/api' ? to('/api/next', 303) : OK);
    const headers = { 'content-type': 'text/plain', 'x-mine': 'yes' };
    await brokerFetch(test.options('files'))(api, { method: 'POST', body: 'dropped', headers });
    const [, next] = files.requests;
    expect(next).toMatchObject({ method: 'GET', body: '', headers: { 'x-mine': 'yes' } });
    expect(next?.headers['content-type']).toBeUndefined();
  });

  it('to another server is followed without token and cookies, and its 401 is its own', async () => {
    const stranger = await startRawServer(() => REFUSED);
    answer = () => to(`${stranger.url}/else`);
    const headers = { cookie: 'mine', 'x-mine': 'yes' };
    const response = await brokerFetch(test.options('files'))(api, { headers });
    expect(response.status).toBe(401);
    expect(stranger.requests).toHaveLength(1);
    expect(stranger.requests[0]?.headers).not.toHaveProperty('authorization');
    expect(stranger.requests[0]?.headers).not.toHaveProperty('cookie');
    expect(stranger.requests[0]?.headers['x-mine']).toBe('yes');
    expect(test.asked).toEqual([GET]);
    await stranger.close();
  });

  it('is the answer for callers who follow by themselves, and an error for those who want none', async () => {
    answer = () => to('/api/next');
    const fetch = brokerFetch(test.options('files'));
    expect((await fetch(api, { redirect: 'manual' })).status).toBe(302);
    await expect(fetch(api, { redirect: 'error' })).rejects.toThrow(TypeError);
    expect(files.requests.map(({ path }) => path)).toEqual(['/api', '/api']);
  });

  it('in a circle comes to an end', async () => {
    answer = () => to('/api');
    await expect(brokerFetch(test.options('files'))(api)).rejects.toThrow(/redirects in a circle/);
    expect(files.requests).toHaveLength(21);
  });

  it('that wants a stream again is an error', async () => {
    answer = () => to('/api/next', 307);
    const init = { method: 'POST', body: new Blob(['once']).stream(), duplex: 'half' } as RequestInit;
    await expect(brokerFetch(test.options('files'))(api, init)).rejects.toThrow(/only once/);
  });
});
