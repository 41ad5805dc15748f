import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';
import { type CallAnswer, call, onAnswersOf } from '../support/http-call.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { expectDescribed, faultsIn } from '../support/openapi.ts';

let test: TestDaemon;

shareDaemon((daemon) => {
  test = daemon;
});

describe('an answer that is not as described', () => {
  const good = { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } };
  const shown = async (changes: object, json: object = {}) => {
    const answer = await test.call('/v1/connections/demo');
    const { cause: _, ...rest } = { cause: '', ...answer.json, ...json };
    const whole = { ...answer, ...good, ...changes, json: rest, text: JSON.stringify(rest) } as CallAnswer;
    return faultsIn('GET', '/v1/connections/demo', whole);
  };

  it.each<[string, object, object, RegExp | undefined]>([
    ['nothing', {}, {}, undefined],
    ['a property nobody knows', {}, { command: '/bin/sh' }, /additional properties.*command/],
    ['a property that is missing', {}, { state: undefined }, /required property 'state'/],
    ['a word nobody knows', {}, { state: 'fine' }, /state must be equal to one of/],
    ['an instant that is none', {}, { since: 'yesterdayZ' }, /since must match format/],
    ['another type', {}, { generation: '1' }, /generation must be integer/],
    ['another status', { status: 418 }, {}, /status 418 is not described/],
    [
      'another content type',
      { headers: { ...good.headers, 'content-type': 'text/html' } },
      {},
      /type "text\/html"/,
    ],
    [
      'no word against storing',
      { headers: { 'content-type': 'application/json' } },
      {},
      /Cache-Control is missing/,
    ],
    ['a header nobody described', { headers: { ...good.headers, location: '/' } }, {}, /header location/],
  ])('is found: %s', async (_, changes, json, fault) => {
    const faults = await shown(changes, json);
    if (fault) expect(faults).toEqual([expect.stringMatching(fault)]);
    else expect(faults).toEqual([]);
  });
});

describe('a call below a URL that is listened to', () => {
  it('rejects where the answer is not as described, and is let through where it is', async () => {
    const { text } = await test.call('/v1/connections/demo');
    const bodies = [text, text.replace('{', '{"secret":"x",')];
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(bodies.shift());
    });
    const url = await listenOnLoopback(server);
    const stop = onAnswersOf(url, expectDescribed);
    expect((await call(`${url}/v1/connections/demo`)).status).toBe(200);
    await expect(call(`${url}/v1/connections/demo`)).rejects.toThrow(/additional properties.*secret/);
    stop();
    await closeServer(server);
  });
});
