import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { judgeRefresh } from '../../src/core/verdict.ts';
import { observe, requestOptions } from '../../src/oauth/token-request.ts';
import { NOW } from '../support/connection.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;

afterEach(async () => {
  await raw?.close();
  raw = undefined;
});

const observeAt = (url: string) => observe(fetch(url, { method: 'POST', body: 'x' }), () => NOW);

/** What comes back from a token endpoint that answers this. */
async function answered(answer: RawAnswer) {
  raw = await startRawServer(() => answer);
  return observeAt(raw.url);
}

describe('the answer of a token endpoint', () => {
  it('is read whole, null fields left out', async () => {
    const body = { access_token: 'fake', refresh_token: null, expires_in: 60 };
    expect(await answered({ status: 200, body })).toEqual({
      kind: 'answer',
      status: 200,
      body: { access_token: 'fake', expires_in: 60 },
      retryAfterSeconds: undefined,
    });
  });

  it('is read as JSON whatever its content type says', async () => {
    const headers = { 'content-type': 'text/html' };
    expect(await answered({ status: 200, headers, body: '{"access_token":"fake"}' })).toMatchObject({
      body: { access_token: 'fake' },
    });
  });

  it('has no body when it is a page, a list or nothing', async () => {
    for (const body of ['<h1>Bad Gateway</h1>', '[{"access_token":"fake"}]', '']) {
      expect(await answered({ status: 502, body })).toMatchObject({
        kind: 'answer',
        status: 502,
        body: undefined,
      });
      await raw?.close();
    }
  });

  it('carries Retry-After as seconds or date', async () => {
    for (const header of ['30', new Date(NOW + 30_000).toUTCString()]) {
      const answer = await answered({ status: 429, headers: { 'retry-after': header } });
      expect(answer).toMatchObject({ retryAfterSeconds: 30 });
      await raw?.close();
    }
  });

  it('is not looked for behind a redirect', async () => {
    const answer = await answered({ status: 302, headers: { location: '/other' } });
    expect(answer).toMatchObject({ kind: 'answer', status: 302 });
    expect(raw?.requests).toHaveLength(1);
  });

  it('is unknown when the connection was reset after the request', async () => {
    const answer = await answered('reset');
    expect(answer.kind).toBe('no_answer');
    expect(judgeRefresh(answer).verdict).toBe('unknown');
  });

  it('is unknown when its body ends early', async () => {
    const server = createServer((request, response) => {
      const body = '{"access_token":"fa';
      response.writeHead(200, { 'content-length': 100 }).write(body, () => request.socket.destroy());
    });
    const answer = await observeAt(await listenOnLoopback(server));
    expect(answer.kind).toBe('no_answer');
    expect(judgeRefresh(answer).verdict).toBe('unknown');
    await closeServer(server);
  });

  it('is unknown when it is larger than 1 MiB', async () => {
    const answer = await answered({ status: 200, body: { access_token: 'x'.repeat(1024 * 1024) } });
    expect(answer).toEqual({ kind: 'no_answer', code: 'body_too_large' });
  });

  it('cannot exist when the request was never sent', async () => {
    const gone = await startRawServer(() => 'hang');
    await gone.close();
    const answer = await observeAt(gone.url);
    expect(answer).toEqual({ kind: 'not_sent', code: 'econnrefused' });
    expect(judgeRefresh(answer).verdict).toBe('not_processed');
  });
});

describe('the parameters of a token request', () => {
  it('are those that are given: what is undefined is left out', () => {
    const given = { resource: undefined, scope: 'mcp:all' };
    const { additionalParameters } = requestOptions('https://as.example.com/token', fetch, given);
    expect(additionalParameters).toEqual({ scope: 'mcp:all' });
    expect(additionalParameters).not.toHaveProperty('resource');
  });
});
