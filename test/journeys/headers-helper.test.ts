/** Claude Code's `headersHelper`: a command whose stdout is one flat JSON object of strings, within ten seconds. */
import { execFile } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { prepareDemo } from '../support/prepare.ts';

const BIN = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));

/** Half of what the client waits, with everything else that runs on a test machine. */
const PROMPT_MS = 5_000;

let journey: Journey;
let key: string;
let url: string;
let env: Record<string, string>;

beforeAll(async () => {
  journey = await startJourney();
  key = await prepareDemo(journey);
  url = (await journey.serve()).url;
  symlinkSync(BIN, join(journey.home.path, 'broker'));
  const keyFile = join(journey.home.path, 'agent.key');
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  env = { BROKER_URL: url, BROKER_AGENT_KEY_FILE: keyFile, BROKER_HOME: '/nonexistent' };
});

afterAll(() => journey.close());

/** Runs the command of the printed configuration as its client does: by a shell, with two variables of its own. */
async function runHelper(): Promise<{ stdout: string; stderr: string; tookMs: number }> {
  const { stdout: snippet } = await journey.run(['config', 'claude-code', '--connection', 'demo'], { env });
  const { mcpServers } = JSON.parse(snippet) as { mcpServers: { demo: Record<string, string> } };
  expect(mcpServers.demo).toMatchObject({ type: 'http', url: journey.mcp.url });
  const began = performance.now();
  const { stdout, stderr } = await promisify(execFile)(
    'sh',
    ['-c', mcpServers.demo.headersHelper as string],
    {
      env: {
        ...journey.home.env,
        ...env,
        PATH: `${journey.home.path}:${dirname(process.execPath)}:${journey.home.env.PATH}`,
        CLAUDE_CODE_MCP_SERVER_NAME: 'demo',
        CLAUDE_CODE_MCP_SERVER_URL: journey.mcp.url,
      },
    },
  );
  return { stdout, stderr, tookMs: performance.now() - began };
}

describe('the headersHelper of Claude Code', () => {
  it('prints one flat object of strings and nothing else, in good time', async () => {
    const { stdout, stderr, tookMs } = await runHelper();
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const headers = JSON.parse(stdout) as Record<string, string>;
    expect(headers).toEqual({ Authorization: expect.stringMatching(/^Bearer \S+$/) });
    expect(tookMs).toBeLessThan(PROMPT_MS);
    const token = (headers.Authorization as string).replace('Bearer ', '');
    expect(await callTool(journey.mcp.url, token, 'whoami')).toBe('alice');
  });

  it('says the same as the route of the daemon and as the operator’s own vault', async () => {
    const route = await call(`${url}/v1/connections/demo/headers?min_ttl=600`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const [asOperator, asAgent] = await Promise.all([
      journey.run(['token', 'demo', '--headers-json']),
      journey.run(['token', 'demo', '--headers-json', '--min-ttl', '600'], { env }),
    ]);
    expect([asOperator.code, asAgent.code, route.status]).toEqual([0, 0, 200]);
    expect(JSON.parse(asOperator.stdout)).toEqual(route.json);
    expect(asAgent.stdout).toBe(asOperator.stdout);
  });

  it('is a single header line with --header, through either door', async () => {
    const token = await journey.servedToken();
    const lines = [{}, { env }].map((options) => journey.run(['token', 'demo', '--header'], options));
    for (const { stdout } of await Promise.all(lines))
      expect(stdout).toBe(`Authorization: Bearer ${token}\n`);
  });

  it('prints nothing on stdout when there are no headers to have', async () => {
    const BROKER_URL = `http://127.0.0.1:${await freePort()}`;
    const [gone, unknown] = await Promise.all([
      journey.run(['token', 'demo', '--headers-json'], { env: { ...env, BROKER_URL } }),
      journey.run(['token', 'other', '--headers-json'], { env }),
    ]);
    expectFailure(gone, 3, /no broker daemon answers/);
    expectFailure(unknown, 2, /no connection other/);
  });

  it('refuses a route parameter that is no number of seconds', async () => {
    const answer = await call(`${url}/v1/connections/demo/headers?min_ttl=soon`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect([answer.status, answer.json.code]).toEqual([400, 'bad_request']);
  });

  it('tells of a refused generation through the token first', async () => {
    // The token is only seconds old: that it was refused is no matter of age, and nothing is refreshed.
    const reject = ['token', 'demo', '--header', '--rejected-generation'];
    const [refused, newer] = await Promise.all(
      ['1', '7'].map((each) => journey.run([...reject, each], { env })),
    );
    if (!refused || !newer) throw new Error('both were run');
    expectFailure(refused, 75, /was refreshed only/);
    expect([newer.code, journey.authorizationServer.refreshes()]).toEqual([0, 0]);
  });
});
