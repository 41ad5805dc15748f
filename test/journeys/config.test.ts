import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { changeVault } from '../support/leases.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { prepareDemo } from '../support/prepare.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
/** What a project that uses the snippets has installed. */
const MODULES = { '@modelcontextprotocol': 'node_modules/@modelcontextprotocol', 'mcp-token-broker': '.' };

const PYTHON = process.env.PYTHON ?? 'python3';
const hasHttpx = spawnSync(PYTHON, ['-c', 'import httpx']).status === 0;

let journey: Journey;
let agent: Record<string, string>;

beforeAll(async () => {
  journey = await startJourney();
  const key = await prepareDemo(journey);
  agent = { BROKER_URL: (await journey.serve()).url, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' };
  const modules = join(journey.home.path, 'node_modules');
  mkdirSync(modules);
  for (const [name, place] of Object.entries(MODULES))
    symlinkSync(join(CHECKOUT, place), join(modules, name));
});

afterAll(() => journey.close());

const config = (args: string[], env: Record<string, string> = {}) =>
  journey.run(['config', ...args], { env });
const DEMO = ['--connection', 'demo'];

/** Runs a printed snippet as a program of its own. */
function runSnippet(name: string, text: string, env: Record<string, string>, interpreter = process.execPath) {
  const file = join(journey.home.path, name);
  writeFileSync(file, text);
  return promisify(execFile)(interpreter, [file], { env: { ...journey.home.env, ...env } });
}

describe('broker config', () => {
  it('lists the runtimes without one, and tells more as JSON', async () => {
    const [{ code, stdout, stderr }, asJson] = await Promise.all([config([]), config(['--json'])]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^RUNTIME +NAME +WAYS +WHERE IT GOES\n(.+\n)+codex +Codex +gateway exec +~\/\.codex/,
    );
    const list = JSON.parse(asJson.stdout) as { name: string }[];
    expect(list.length).toBe(stdout.trimEnd().split('\n').length - 1);
  });

  it('refuses --exec for a connection without a token to hand on', async () => {
    const open = ['add', 'open', '--url', journey.mcp.url, '--none'];
    expect((await journey.run(open)).code).toBe(0);
    const refused = await config(['langchain', '--connection', 'open', '--exec']);
    expectFailure(refused, 64, /open has no token for broker exec to hand on \(its kind is none\)$/);
  });

  it('prints the snippet alone on stdout, and where it goes and what to set on stderr', async () => {
    for (const running of [{}, agent].map((env) => config(['claude-code', ...DEMO], env))) {
      const { code, stdout, stderr } = await running;
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toEqual({
        mcpServers: {
          demo: {
            type: 'http',
            url: journey.mcp.url,
            headersHelper: 'broker token demo --headers-json --min-ttl 600',
          },
        },
      });
      expect(stderr).toMatch(/^for Claude Code: \.mcp\.json .*\n- set BROKER_AGENT_KEY /);
      expect(stdout + stderr).not.toContain(agent.BROKER_AGENT_KEY as string);
    }
  });

  it('says how an agent gets to the gateway, also where that is the only way', async () => {
    const ways = [['claude-code', '--gateway'], ['n8n']];
    for (const running of ways.map((args) => config([...args, ...DEMO], agent))) {
      const { code, stdout, stderr } = await running;
      expect(code, stderr).toBe(0);
      expect(stdout).toContain(`${agent.BROKER_URL}/mcp/demo`);
      expect(stderr).toMatch(/broker agent add <agent> --allow demo --mode gateway$/m);
    }
  });

  it('takes the daemon and the server that are named', async () => {
    const urls = ['--url', 'https://broker.example.com/', '--server-url', 'https://mcp.example.com/mcp'];
    const words = ['codex', '--connection', 'coda@alice', ...urls];
    const [gateway, exec] = await Promise.all([config(words), config([...words, '--exec'])]);
    expect(gateway.stdout).toBe(
      '[mcp_servers.coda-alice]\nurl = "https://broker.example.com/mcp/coda%40alice"\nbearer_token_env_var = "BROKER_AGENT_KEY"\n',
    );
    expect(exec.stdout).toContain(
      'url = "https://mcp.example.com/mcp"\nbearer_token_env_var = "MCP_ACCESS_TOKEN"',
    );
    expect(exec.stderr).toContain('- start it with: broker exec coda@alice -- codex\n');
  });

  it('tells all of it as JSON', async () => {
    const { stdout, stderr } = await config(['gemini-cli', '--json', ...DEMO]);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      runtime: 'gemini-cli',
      way: 'gateway',
      format: 'json',
      snippet: expect.stringContaining('httpUrl'),
      notes: [expect.any(String), expect.any(String)],
    });
  });

  it('knows the usual place of a server before the first login, and says so', async () => {
    const BROKER_URL = `http://127.0.0.1:${await freePort()}`;
    const places = [{}, { BROKER_HOME: '/nonexistent' }, { ...agent, BROKER_URL }];
    const words = ['claude-code', '--connection', 'notion@acme'];
    for (const running of places.map((env) => config(words, env))) {
      const { code, stdout, stderr } = await running;
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        mcpServers: { 'notion-acme': { url: 'https://mcp.notion.com/mcp' } },
      });
      expect(stderr).toMatch(
        /^warning: .*; https:\/\/mcp\.notion\.com\/mcp is where such a server usually is/,
      );
    }
  });

  it.concurrent.each([
    [['codx', ...DEMO], /no runtime "codx"/],
    [['claude-code'], /needs a connection/],
    [['claude-code', '--connection', 'No Name'], /"No Name" is not a connection name/],
    [['claude-code', '--connection', 'other'], /not known which server other is/],
    [['claude-code', '--gateway', '--exec', ...DEMO], /two ways/],
    [['vscode', '--exec', ...DEMO], /cannot be configured with --exec/],
    [['codex', '--url', 'unix:/run/broker.sock', ...DEMO], /over http/],
    [['codex', '--url', 'nonsense', ...DEMO], /--url is no http/],
  ])('exits 64 for %j', async (args, what) => {
    expectFailure(await config(args as string[]), 64, what as RegExp);
  });

  it('passes on what is wrong with the vault or the key', async () => {
    const env = { ...agent, BROKER_AGENT_KEY: 'mtb_wrong' };
    expectFailure(await config(['claude-code', ...DEMO], env), 77, /agent key is not valid/);
  });
});

describe('the snippets for the MCP TypeScript SDKs', () => {
  it.each(['mcp-typescript', 'mcp-typescript-v1'])('%s runs as it is printed', async (runtime) => {
    const { stdout: text } = await config([runtime, ...DEMO], agent);
    const { stdout } = await runSnippet(`${runtime}.ts`, text, agent);
    expect(stdout).toContain("name: 'whoami'");
  });

  it('run by broker exec too', async () => {
    const { stdout: text } = await config(['mcp-typescript-v1', '--exec', ...DEMO], agent);
    const file = join(journey.home.path, 'exec.ts');
    writeFileSync(file, text);
    const run = await journey.run(['exec', 'demo', '--', process.execPath, file], { env: agent });
    expect([run.code, run.stdout]).toEqual([0, expect.stringContaining("name: 'whoami'")]);
  });

  it('report a refused token, so that one that lives by the clock is replaced', async () => {
    const { stdout: text } = await config(['mcp-typescript-v1', ...DEMO], agent);
    const before = refuseToken();
    const { stdout } = await runSnippet('refused.ts', text, agent);
    expect(stdout).toContain("name: 'whoami'");
    expect(journey.authorizationServer.refreshes()).toBe(before + 1);
  });
});

describe('the snippet for httpx', () => {
  it(hasHttpx ? 'runs as it is printed' : 'is compiled elsewhere, and not run: no httpx here', async () => {
    if (!hasHttpx) return;
    const { stdout: text } = await config(['httpx', ...DEMO], agent);
    // The server takes the token, and wants a session for a GET.
    expect((await runSnippet('agent.py', text, agent, PYTHON)).stdout).toBe('400\n');
    const before = refuseToken();
    expect((await runSnippet('agent.py', text, agent, PYTHON)).stdout).toBe('400\n');
    expect(journey.authorizationServer.refreshes()).toBe(before + 1);
    const strange = runSnippet('agent.py', text, { ...agent, BROKER_AGENT_KEY: 'mtb_wrong' }, PYTHON);
    await expect(strange).rejects.toThrow(/token broker: .*unauthenticated/);
  });
});

describe('the snippet for Managed Agents', () => {
  it('creates the credential and then only replaces its token, without a refresh part', async () => {
    const requests: { path: string; headers: IncomingMessage['headers']; body: unknown }[] = [];
    const vault = createServer(async (request, response) => {
      requests.push({ path: String(request.url), headers: request.headers, body: await json(request) });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"vcrd_1"}');
    });
    const env = {
      ...agent,
      ANTHROPIC_API_KEY: 'not-a-real-key',
      ANTHROPIC_BASE_URL: await listenOnLoopback(vault),
      VAULT_ID: 'vlt_1',
    };
    try {
      const file = join(journey.home.path, 'push-to-vault.mjs');
      writeFileSync(file, (await config(['managed-agents', ...DEMO], agent)).stdout);
      const push = ['push', 'demo', '--command', process.execPath, '--', file];
      const created = await journey.run(push, { env });
      expect([created.code, created.stdout]).toEqual([0, 'vcrd_1\n']);
      const updated = await journey.run(push, { env: { ...env, CREDENTIAL_ID: 'vcrd_1' } });
      expect([updated.code, updated.stdout]).toEqual([0, '']);
    } finally {
      await closeServer(vault);
    }
    const auth = {
      type: 'mcp_oauth',
      access_token: expect.stringMatching(/^\S+$/),
      expires_at: expect.stringMatching(/^\d{4}-.*Z$/),
    };
    expect(requests.map(({ path, body }) => [path, body])).toEqual([
      ['/v1/vaults/vlt_1/credentials', { auth: { ...auth, mcp_server_url: journey.mcp.url } }],
      ['/v1/vaults/vlt_1/credentials/vcrd_1', { auth }],
    ]);
    expect(requests[0]?.headers).toMatchObject({
      'x-api-key': 'not-a-real-key',
      'anthropic-beta': 'managed-agents-2026-04-01',
    });
  });
});

/** The server forgets the token; it came more than a minute ago, so it may be replaced. How often it was refreshed by now. */
function refuseToken(): number {
  journey.authorizationServer.revokeAccessTokens();
  changeVault(journey.vaultPath, 'UPDATE connections SET received_at = received_at - 60000');
  return journey.authorizationServer.refreshes();
}
