import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { connectDaemon, type Daemon } from '../../src/client/daemon.ts';
import { createTokens, type Tokens } from '../../src/client/tokens.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import { type ClientWorld, startClientWorld } from '../support/client-world.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { startRawServer } from '../support/raw-server.ts';

const MINUTE_MS = 60_000;
const GET = 'GET /v1/connections/demo/token';
const POST = 'POST /v1/connections/demo/token';

let test: ClientWorld;
/** Resolves when the library has taken in the answer to its last question, also one nobody waits for. */
let answered: Promise<void>;

beforeEach(async () => {
  test = await startClientWorld();
});

afterEach(() => test.close());

/** On the clock of the daemon; the jitter of a fixed dice is in the middle: a newer token is asked for at 0.3. */
function tokens(options: { minTtl?: number; url?: string; key?: string } = {}): Tokens {
  const { clock } = test.world;
  const startWatch = () => {
    const startedAt = clock.now();
    return () => clock.now() - startedAt;
  };
  const daemon = connectDaemon({ ...test.options(), ...options });
  const ask: Daemon['ask'] = (...question) => {
    const answer = daemon.ask(...question);
    answered = answer.then(settled, settled);
    return answer;
  };
  return createTokens({ ...daemon, ask }, { startWatch, random: () => 0.5 });
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

const generations = async (source: Tokens, count: number) =>
  (await Promise.all(Array.from({ length: count }, () => source.current()))).map(
    ({ generation }) => generation,
  );

describe('a token of an hour', () => {
  it('is asked for once, however many want it at the same moment', async () => {
    const source = tokens();
    expect(new Set(await generations(source, 20))).toEqual(new Set([1]));
    expect(test.asked).toEqual([GET]);
  });

  it('is kept until a newer one is to be had', async () => {
    const source = tokens();
    await source.current();
    test.world.clock.jump(48 * MINUTE_MS);
    await source.current();
    expect(test.asked).toEqual([GET]);
  });

  it('is renewed behind the back of callers in its last fifth', async () => {
    const source = tokens();
    await source.current();
    test.world.clock.jump(50 * MINUTE_MS);
    await test.broker.refresh(OPERATOR, 'demo');
    test.world.clock.jump(2 * MINUTE_MS);
    const gate = createGate(isRefresh);
    test.world.authorizationServer.fail(gate.rule);
    expect((await source.current()).generation).toBe(1);
    await answered;
    expect((await source.current()).generation).toBe(2);
    expect(test.asked).toEqual([GET, GET]);
    expect(gate.count()).toBe(0);
  });

  it('lets callers wait for a newer one in its last seconds, and once', async () => {
    const source = tokens();
    await source.current();
    test.world.clock.jump(60 * MINUTE_MS - 5000);
    expect(new Set(await generations(source, 20))).toEqual(new Set([2]));
    expect(test.asked).toEqual([GET, GET]);
    expect(test.world.authorizationServer.refreshes()).toBe(1);
  });

  it('is not asked for at every call while the daemon has no newer one', async () => {
    const source = tokens();
    await source.current();
    test.world.authorizationServer.fail((request) => (isRefresh(request) ? { status: 503 } : undefined));
    for (let second = 0; second < 3600; second += 10) {
      await source.current();
      await answered;
      test.world.clock.jump(10_000);
    }
    expect(test.asked.length).toBeGreaterThan(3);
    expect(test.asked.length).toBeLessThan(20);
  });

  it('serves on while the daemon is down, and ends with its own end', async () => {
    const source = tokens();
    await source.current();
    await test.daemon.close();
    test.world.clock.jump(55 * MINUTE_MS);
    expect((await source.current()).generation).toBe(1);
    await answered;
    test.world.clock.jump(5 * MINUTE_MS - 3000);
    expect((await source.current()).generation).toBe(1);
    test.world.clock.jump(3000);
    await expect(source.current()).rejects.toMatchObject({ code: 'daemon_unreachable' });
  });

  it('is dropped when the daemon no longer knows the agent', async () => {
    const source = tokens();
    await source.current();
    await test.broker.agents.revoke('client');
    test.world.clock.jump(60 * MINUTE_MS - 5000);
    await expect(source.current()).rejects.toMatchObject({ code: 'unauthenticated', status: 401 });
    test.world.clock.jump(-30 * MINUTE_MS);
    await expect(source.current()).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('minTtl', () => {
  it('lets callers wait for a token that lives that long', async () => {
    const source = tokens({ minTtl: 1200 });
    expect((await source.current()).generation).toBe(1);
    test.world.clock.jump(39 * MINUTE_MS);
    expect((await source.current()).generation).toBe(1);
    test.world.clock.jump(2 * MINUTE_MS);
    expect((await source.current()).generation).toBe(2);
    expect(test.asked).toEqual(Array(2).fill(`${GET}?min_ttl=1200`));
  });

  it('beyond half the lifetime asks a few times more, not at every call', async () => {
    const source = tokens({ minTtl: 7200 });
    for (let minute = 0; minute < 55; minute += 1) {
      await source.current();
      await answered;
      test.world.clock.jump(MINUTE_MS);
    }
    expect(test.asked.length).toBeLessThan(8);
    expect(test.world.authorizationServer.refreshes()).toBe(1);
  });
});

describe('a refused token', () => {
  beforeEach(() => test.world.clock.jump(MINUTE_MS));

  it('is replaced once, for all who were refused and all who ask meanwhile', async () => {
    const source = tokens();
    await source.current();
    const gate = createGate(isRefresh);
    test.world.authorizationServer.fail(gate.rule);
    const refused = Array.from({ length: 20 }, () => source.replace(1));
    await gate.arrived;
    const asking = source.current();
    gate.open();
    const got = await Promise.all([...refused, asking]);
    expect(new Set(got.map(({ generation }) => generation))).toEqual(new Set([2]));
    expect(test.asked).toEqual([GET, POST]);
    expect(test.world.authorizationServer.refreshes()).toBe(1);
  });

  it('that was replaced already costs no question', async () => {
    const source = tokens();
    await source.current();
    await source.replace(1);
    expect((await source.replace(1)).generation).toBe(2);
    expect(test.asked).toEqual([GET, POST]);
  });

  it('is one of the token before, when nobody can tell and the newer one just came', async () => {
    const source = tokens();
    await source.current();
    await source.replaceCurrent();
    await source.replaceCurrent();
    test.world.clock.jump(29_000);
    await source.replaceCurrent();
    expect(test.asked).toEqual([GET, POST]);
    test.world.clock.jump(2000);
    await source.replaceCurrent();
    expect(test.asked).toEqual([GET, POST, POST]);
    expect((await source.current()).generation).toBe(3);
  });

  it('that is as new as can be is kept, and whoever refuses it is told', async () => {
    const source = tokens();
    await source.current();
    await source.replace(1);
    await expect(source.replace(2)).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 30 });
    expect((await source.current()).generation).toBe(2);
    expect(test.asked).toEqual([GET, POST, POST]);
  });

  it('is dropped with the login it came from', async () => {
    const source = tokens();
    await source.current();
    await test.broker.logout(OPERATOR, 'demo');
    await expect(source.replace(1)).rejects.toMatchObject({ code: 'not_found', status: 404 });
    await expect(source.current()).rejects.toMatchObject({ code: 'not_found' });
  });

  it('of a login that was made anew, with lower numbers, is replaced too', async () => {
    const answer = (generation: number) => ({
      status: 200,
      body: { access_token: `fake-${generation}`, generation, expires_in: 3600 },
    });
    let generation = 7;
    const daemon = await startRawServer(() => answer(generation));
    const source = tokens({ url: daemon.url });
    expect((await source.current()).generation).toBe(7);
    generation = 1;
    expect(await source.replace(7)).toMatchObject({ generation: 1, accessToken: 'fake-1' });
    await daemon.close();
  });
});

it('a token whose end nobody knows is kept until it is refused', async () => {
  test.world.authorizationServer.fail((request) =>
    isRefresh(request) ? changeAnswer(request, ({ expires_in: _, ...rest }) => rest) : undefined,
  );
  await test.broker.refresh(OPERATOR, 'demo');
  const source = tokens();
  expect((await source.current()).generation).toBe(2);
  test.world.clock.jump(365 * 24 * 60 * MINUTE_MS);
  expect((await source.current()).generation).toBe(2);
  expect(test.asked).toEqual([GET]);
  expect((await source.replace(2)).generation).toBe(3);
});
