import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connectDaemon } from '../../src/client/daemon.ts';
import { BrokerClientError } from '../../src/client/errors.ts';
import { brokerAuth, brokerFetch } from '../../src/client/index.ts';
import { freePort } from '../support/free-port.ts';
import { createHome, type Home } from '../support/home.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const KEY = 'mtb_fake-agent-key';
const GOOD: RawAnswer = { status: 200, body: { access_token: 'fake-access', generation: 1, resource: 'x' } };

let home: Home;
let answer: RawAnswer;
let daemon: RawServer;

beforeEach(async () => {
  home = await createHome();
  answer = GOOD;
  daemon = await startRawServer(() => answer);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await daemon.close();
  await home.remove();
});

/** What asking ends with. */
async function failure(options: { url?: string; key?: string; timeoutMs?: number } = {}) {
  const asked = connectDaemon({ connection: 'demo', url: daemon.url, key: KEY, ...options }).ask('/token');
  const error = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BrokerClientError);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(KEY);
  expect((error as Error).cause).toBeUndefined();
  return error as BrokerClientError;
}

describe('options', () => {
  it.each([
    { connection: '' },
    { connection: 'Coda' },
    { connection: '../token' },
    { connection: 'a@b@c' },
    { connection: KEY.repeat(4) },
    { connection: undefined as never },
    { connection: 'demo', minTtl: -1 },
    { connection: 'demo', minTtl: 1.5 },
    { connection: 'demo', timeoutMs: 0 },
    { connection: 'demo', timeoutMs: Number.POSITIVE_INFINITY },
  ])('refuses %j at once, and does not repeat it', (options) => {
    for (const create of [brokerAuth, brokerFetch]) {
      expect(() => create(options)).toThrow(TypeError);
      expect(() => create(options)).not.toThrow(KEY);
    }
  });

  it('show no key when they are printed', () => {
    const options = { connection: 'demo', url: daemon.url, key: KEY };
    for (const each of [brokerAuth(options), brokerFetch(options), connectDaemon(options)])
      expect(inspect(each, { depth: 9, showHidden: true })).not.toContain(KEY);
  });
});

describe('the environment', () => {
  const bearer = () => daemon.requests.at(-1)?.headers.authorization;

  beforeEach(() => vi.stubEnv('BROKER_URL', daemon.url));

  it('tells where the daemon is and who we are', async () => {
    vi.stubEnv('BROKER_AGENT_KEY', `${KEY}\n`);
    await connectDaemon({ connection: 'demo' }).ask('/token');
    expect(bearer()).toBe(`Bearer ${KEY}`);
  });

  it('is read once, and only when something is asked', async () => {
    const asking = connectDaemon({ connection: 'demo' });
    const file = join(home.path, 'key');
    writeFileSync(file, `${KEY}\n`);
    vi.stubEnv('BROKER_AGENT_KEY_FILE', file);
    await asking.ask('/token');
    writeFileSync(file, 'mtb_another');
    await asking.ask('/token');
    expect(bearer()).toBe(`Bearer ${KEY}`);
  });

  it('counts less than what is said', async () => {
    vi.stubEnv('BROKER_AGENT_KEY', 'mtb_another');
    vi.stubEnv('BROKER_URL', 'nowhere');
    await connectDaemon({ connection: 'demo', url: daemon.url, key: KEY }).ask('/token');
    expect(bearer()).toBe(`Bearer ${KEY}`);
  });

  it('without a key says how to get one', async () => {
    vi.stubEnv('BROKER_AGENT_KEY', undefined);
    expect(await failure({ key: undefined as never })).toMatchObject({
      code: 'usage',
      message: 'there is no agent key',
      nextStep: expect.stringContaining('broker agent add'),
    });
  });

  it.each([
    ['a key that is none', { BROKER_AGENT_KEY: `${KEY} and more` }, 'the agent key is not one'],
    [
      'a key where its file should be',
      { BROKER_AGENT_KEY_FILE: KEY },
      'the agent key file cannot be read (ENOENT)',
    ],
  ])('with %s says so without showing it', async (_, variables, message) => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    expect(await failure({ key: undefined as never })).toMatchObject({ code: 'usage', message });
    expect(daemon.requests).toEqual([]);
  });

  it.each(['nowhere', 'ftp://127.0.0.1', `http://user:${KEY}@127.0.0.1:1`, 'unix:'])(
    'with %s as address says how to write one',
    async (url) => {
      expect(await failure({ url })).toMatchObject({
        code: 'usage',
        nextStep: expect.stringMatching(/unix:/),
      });
    },
  );
});

describe('a question', () => {
  it('writes @ as %40, and sends JSON when it has a body', async () => {
    const asking = connectDaemon({ connection: 'demo@alice', url: `${daemon.url}/prefix/`, key: KEY });
    await asking.ask('/token', { query: '?min_ttl=5' });
    await asking.ask('/token', { body: { rejected_generation: 1 } });
    expect(daemon.requests.map(({ method, path, body }) => [method, path, body])).toEqual([
      ['GET', '/prefix/v1/connections/demo%40alice/token?min_ttl=5', ''],
      ['POST', '/prefix/v1/connections/demo%40alice/token', '{"rejected_generation":1}'],
    ]);
    expect(daemon.requests[1]?.headers['content-type']).toBe('application/json');
  });
});

describe('a failure', () => {
  it('of the daemon keeps its code, words and next step', async () => {
    answer = {
      status: 409,
      body: {
        code: 'login_required',
        detail: 'demo must be signed in again\u001b[2J',
        connection: 'demo',
        next_step: 'broker login demo',
      },
    };
    expect(await failure()).toMatchObject({
      name: 'BrokerClientError',
      code: 'login_required',
      status: 409,
      message: 'demo must be signed in again [2J',
      nextStep: 'broker login demo',
      connection: 'demo',
      retryAfterSeconds: undefined,
    });
  });

  it('tells when to try again', async () => {
    answer = { status: 503, body: { code: 'upstream_unavailable', detail: 'down', retry_after: 7 } };
    expect(await failure()).toMatchObject({ code: 'upstream_unavailable', retryAfterSeconds: 7 });
  });

  it('does not repeat the key after somebody who says it', async () => {
    answer = { status: 400, body: { code: KEY, detail: `you sent Bearer ${KEY}`, next_step: KEY } };
    expect((await failure()).message).toBe('you sent Bearer …');
  });

  it('is daemon_unreachable where nobody listens', async () => {
    const port = await freePort();
    expect(await failure({ url: `http://127.0.0.1:${port}` })).toMatchObject({
      code: 'daemon_unreachable',
      message: `no broker daemon answers at http://127.0.0.1:${port} (ECONNREFUSED)`,
      nextStep: expect.stringContaining('broker serve'),
      status: undefined,
    });
    expect(await failure({ url: `unix:${home.path}/none.sock` })).toMatchObject({
      code: 'daemon_unreachable',
      message: expect.stringContaining('none.sock (ENOENT)'),
    });
  });

  it('is daemon_unreachable when the answer does not come in time, or breaks off', async () => {
    answer = 'hang';
    expect(await failure({ timeoutMs: 100 })).toMatchObject({
      code: 'daemon_unreachable',
      message: expect.stringContaining('not within 0.1 s'),
    });
    answer = 'reset';
    expect(await failure()).toMatchObject({ code: 'daemon_unreachable' });
  });

  it.each<[string, RawAnswer]>([
    ['a page', { status: 200, body: '<html>' }],
    ['another error', { status: 502, body: 'bad gateway' }],
    ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: { code: 1 } }],
  ])('is daemon_unreachable for %s: that is not a broker', async (_, other) => {
    answer = other;
    expect(await failure()).toMatchObject({
      code: 'daemon_unreachable',
      message: expect.stringContaining('is not a broker daemon'),
    });
    expect(daemon.requests).toHaveLength(1);
  });

  it('is daemon_unreachable for more than any token, without reading to the end', async () => {
    const endless = createServer((_, response) => void response.write('x'.repeat(1_100_000)));
    const url = await listenOnLoopback(endless);
    expect((await failure({ url })).message).toContain('is not a broker daemon');
    await closeServer(endless);
  });

  it('is the same for a token that no header can carry, which is not shown', async () => {
    for (const access_token of ['fake\naccess', '', 7, undefined]) {
      answer = { status: 200, body: { access_token, generation: 1 } };
      const error = await brokerAuth({ connection: 'demo', url: daemon.url, key: KEY })
        .token()
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'daemon_unreachable' });
      expect(inspect(error)).not.toContain('fake\naccess');
    }
  });
});
