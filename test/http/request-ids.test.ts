import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import type { Fault } from '../support/fault.ts';
import { startCall } from '../support/http-call.ts';
import { type LogLines, readableLog } from '../support/log-lines.ts';
import { rowsOf } from '../support/vault-file.ts';

/** A provider that does not answer a refresh until told to. */
function holdRefresh(fault?: Fault) {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  test.world.authorizationServer.fail(async () => {
    reached.resolve();
    await opened.promise;
    return fault;
  });
  return { reached: reached.promise, open: opened.resolve };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`;

let logged: LogLines;
let test: TestDaemon;

/** The access line of this request, once it is there. */
async function accessLine(id: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = logged.lines().find(({ msg, request_id }) => msg === 'request' && request_id === id);
    if (line) return line;
    // The caller has its answer a moment before the connection is done with.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

beforeEach(async () => {
  logged = readableLog('info');
  test = await startTestDaemon({}, {}, { log: logged.log });
});

afterEach(() => test.close());

describe('an answer', () => {
  it.each([
    '/healthz',
    '/v1/connections/demo/token',
    '/v1/connections/nothing',
    '/no-such-route',
    '/mcp/nothing',
    '/oauth/token',
  ])('says the id its caller sent: %s', async (path) => {
    const { headers } = await test.call(path, { headers: { 'x-request-id': 'A-1_b.c' } });
    expect(headers['x-request-id']).toBe('A-1_b.c');
  });

  it.each([undefined, 'two words', 'x'.repeat(129), '"quoted"'])('says one of ours for %j', async (sent) => {
    const ids = await Promise.all(
      [1, 2].map(async () => {
        const { headers } = await test.call('/v1/connections', {
          headers: sent === undefined ? {} : { 'x-request-id': sent },
        });
        return headers['x-request-id'];
      }),
    );
    for (const id of ids) expect(id).toMatch(UUID);
    expect(new Set(ids).size).toBe(2);
  });
});

describe('the access log', () => {
  it('has a line for each request, without its query', async () => {
    const ask = { headers: { 'x-request-id': 'one', traceparent: TRACEPARENT } };
    await test.call('/v1/connections/demo/token?min_ttl=5', ask);
    expect(await accessLine('one')).toMatchObject({
      ...{ level: 'info', method: 'GET', path: '/v1/connections/demo/token', status: 200, agent: 'docs-bot' },
      trace_id: TRACE,
    });
    expect(await accessLine('one')).not.toHaveProperty('aborted');
    expect(logged.text()).not.toContain('min_ttl');
    expect((await accessLine('one')).duration_ms).toBeGreaterThanOrEqual(0);
  });

  it('names no agent where none is known, and no trace where the header makes no sense', async () => {
    const headers = { 'x-request-id': 'two', traceparent: 'nonsense', authorization: 'Bearer mtb_wrong' };
    await test.call('/v1/connections', { headers });
    const line = await accessLine('two');
    expect(line.status).toBe(401);
    expect(line).not.toHaveProperty('agent');
    expect(line).not.toHaveProperty('trace_id');
  });

  it('says when the caller hung up', async () => {
    const held = holdRefresh();
    test.world.clock.jump(3_600_000);
    const key = await test.addAgent({ name: 'hasty-bot' });
    const started = startCall(`${test.url}/v1/connections/demo/token`, {
      headers: { authorization: `Bearer ${key}`, 'x-request-id': 'gone' },
    });
    await held.reached;
    started.hangUp();
    const line = await accessLine('gone');
    expect(line).toMatchObject({ aborted: true, agent: 'hasty-bot' });
    expect(line).not.toHaveProperty('status');
    held.open();
  });
});

describe('lines of a refresh', () => {
  it('carry the id of the request that began it; who joined it keeps its own', async () => {
    const held = holdRefresh({ status: 503 });
    test.world.clock.jump(3_600_000);
    const ask = (id: string) => test.call('/v1/connections/demo/token', { headers: { 'x-request-id': id } });
    const first = ask('first');
    await held.reached;
    const second = ask('second');
    // It has joined once its own request was seen; then the provider may answer.
    await test.call('/healthz');
    held.open();
    expect([(await first).status, (await second).status]).toEqual([503, 503]);
    await Promise.all([accessLine('first'), accessLine('second')]);
    const about = (id: string) =>
      logged
        .lines()
        .filter(({ request_id }) => request_id === id)
        .map(({ msg }) => msg);
    expect(about('first')).toContain('refresh answered');
    expect(about('second')).not.toContain('refresh answered');
    // The problem each was told of, and its access line.
    for (const id of ['first', 'second'])
      expect(about(id).filter((msg) => msg !== 'refresh answered')).toHaveLength(2);
    // Nothing else was written meanwhile under no id, or a wrong one.
    const others = logged
      .lines()
      .filter(({ request_id }) => !['first', 'second'].includes(String(request_id)));
    expect(others.filter(({ msg }) => msg !== 'request')).toEqual([]);
  });
});

describe('the audit trail', () => {
  it('tells of a token for which request it was given out', async () => {
    await test.call('/v1/connections/demo/token', { headers: { 'x-request-id': 'audited' } });
    await test.world.clock.untilWaiting();
    await test.world.clock.advance(100);
    for (;;) {
      const rows = rowsOf<{ detail: string }>(
        test.world.vaultPath,
        "SELECT detail FROM audit WHERE action = 'token'",
      );
      if (rows.length === 0) await test.world.clock.advance(100);
      else {
        expect(JSON.parse(rows[0]?.detail ?? '')).toMatchObject({ request_id: 'audited' });
        break;
      }
    }
  });
});
