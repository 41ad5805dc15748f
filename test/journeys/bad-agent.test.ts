import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { startRawServer } from '../support/raw-server.ts';

let journey: Journey;
let url: string;
let working: string;
let key: string;

async function addAgent(name: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(['agent', 'add', name, ...args]);
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  working = await journey.servedToken();
  key = await addAgent('docs-bot', '--allow', 'demo');
  url = (await journey.serve()).url;
});

afterAll(() => journey.close());

/** After every refusal the daemon still serves the agent that may ask. */
afterEach(async () => {
  const headers = { authorization: `Bearer ${key}` };
  const { json } = await call(`${url}/v1/connections/demo/token`, { headers });
  expect(json).toMatchObject({ access_token: working, generation: 1 });
});

const asAgent = (args: string[], agentKey: string, env: Record<string, string> = {}) =>
  journey.run(args, { env: { BROKER_URL: url, BROKER_AGENT_KEY: agentKey, ...env } });

describe('a connection that is not there', () => {
  it.each([[['token', 'coda']], [['show', 'coda']], [['refresh', 'coda']], [['logout', 'coda']]])(
    'exits 2 for the operator: broker %j',
    async (args) => {
      expectFailure(await journey.run(args), 2, /^error: there is no connection coda$/);
    },
  );

  it('exits 2 in a check, and the others are checked all the same', async () => {
    const { code, stdout } = await journey.run(['check', 'coda', 'demo', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject([
      { connection: 'coda', exit_code: 2 },
      { connection: 'demo', exit_code: 0 },
    ]);
  });

  it('exits 2 for an agent, alike whether it is unknown or not its to use', async () => {
    const other = await addAgent('other-bot', '--allow', 'other', '--allow-unknown');
    const results = await Promise.all([asAgent(['token', 'demo'], other), asAgent(['token', 'coda'], other)]);
    for (const result of results)
      expectFailure(result, 2, /^error: there is no connection \w+ for this agent$/);
    expect(results[0]?.stderr.replaceAll('demo', 'coda')).toBe(results[1]?.stderr);
  });
});

describe('an agent key', () => {
  it('that is wrong exits 77', async () => {
    for (const args of [['token', 'demo'], ['check']])
      expectFailure(await asAgent(args, 'mtb_wrong'), 77, /^error: the agent key is not valid$/);
  });

  it('that was revoked exits 77', async () => {
    const revoked = await addAgent('revoked-bot', '--allow', 'demo');
    expect((await asAgent(['token', 'demo'], revoked)).code).toBe(0);
    await journey.run(['agent', 'revoke', 'revoked-bot']);
    expectFailure(await asAgent(['token', 'demo'], revoked), 77, /^error: the agent key is not valid$/);
  });

  it('that only opens the gateway exits 77 for a token', async () => {
    const gatewayOnly = await addAgent('gateway-bot', '--allow', 'demo', '--mode', 'gateway');
    expectFailure(await asAgent(['token', 'demo'], gatewayOnly), 77, /may not be handed the token of demo$/);
  });

  it('is read from a file, and exits 64 when the file is not there or empty', async () => {
    const file = join(journey.home.path, 'agent.key');
    const env = { BROKER_URL: url, BROKER_AGENT_KEY_FILE: file };
    expectFailure(
      await journey.run(['token', 'demo'], { env }),
      64,
      /agent key file .* cannot be read \(ENOENT\)$/,
    );
    writeFileSync(file, '\n');
    expectFailure(await journey.run(['token', 'demo'], { env }), 64, /agent key file/);
    writeFileSync(file, `${key}\n`);
    expect(await journey.run(['token', 'demo'], { env })).toMatchObject({ code: 0, stdout: `${working}\n` });
  });

  it('is needed: without one the daemon answers 401', async () => {
    expect((await call(`${url}/v1/connections/demo/token`)).status).toBe(401);
  });
});

describe('a daemon', () => {
  it('that is not there exits 3', async () => {
    const BROKER_URL = `http://127.0.0.1:${await freePort()}`;
    expectFailure(
      await asAgent(['token', 'demo'], key, { BROKER_URL }),
      3,
      /^error: no broker daemon answers at/,
    );
  });

  it('that is something else exits 3', async () => {
    const server = await startRawServer(() => ({ status: 404, body: 'nginx' }));
    const result = await asAgent(['token', 'demo'], key, { BROKER_URL: server.url });
    expectFailure(result, 3, /is not a broker daemon \(status 404\)$/);
    await server.close();
  });

  it('whose address is none exits 64', async () => {
    for (const BROKER_URL of ['127.0.0.1:8787', 'ftp://x', 'nonsense']) {
      expectFailure(await asAgent(['token', 'demo'], key, { BROKER_URL }), 64, /BROKER_URL/);
    }
  });

  it.each<[string, number, Record<string, string>, string | undefined]>([
    ['a foreign Host', 403, { host: 'evil.example.com' }, undefined],
    ['an Origin', 403, { origin: 'https://evil.example.com' }, undefined],
    ['an oversized body', 413, { 'content-type': 'application/json' }, JSON.stringify('x'.repeat(100_000))],
    ['a broken body', 400, { 'content-type': 'application/json' }, '{'],
  ])('refuses %s with %i', async (_, status, headers, body) => {
    const answered = await call(`${url}/v1/connections/demo/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    expect(answered.status).toBe(status);
    expect(answered.json).toMatchObject({
      status,
      detail: expect.any(String),
      next_step: expect.any(String),
    });
  });
});
