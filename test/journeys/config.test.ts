import { execFile } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

let journey: Journey;
let agent: Record<string, string>;
/** Set by a test: how many requests the MCP server refuses as if their token had ended. */
let refuse = 0;
const refused: string[] = [];

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  const key = (await journey.run(['agent', 'add', 'docs-bot', '--allow', 'demo'])).stdout.trim();
  agent = { BROKER_URL: (await journey.serve()).url, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' };
  symlinkSync(MODULES, join(journey.home.path, 'node_modules'));
});

afterAll(() => journey.close());

const config = (args: string[], env: Record<string, string> = {}) =>
  journey.run(['config', ...args], { env });
const DEMO = ['--connection', 'demo'];

/** Runs a printed snippet as a program of its own. */
function runSnippet(name: string, text: string, env: Record<string, string>) {
  const file = join(journey.home.path, name);
  writeFileSync(file, text);
  return promisify(execFile)(process.execPath, [file], { env: { ...journey.home.env, ...env } });
}

describe('broker config', () => {
  it('lists the runtimes without one, and tells more as JSON', async () => {
    const { code, stdout, stderr } = await config([]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^RUNTIME +NAME +WAYS +WHERE IT GOES\n(.+\n)+codex +Codex +gateway exec +~\/\.codex/,
    );
    const list = JSON.parse((await config(['--json'])).stdout) as { name: string }[];
    expect(list.length).toBe(stdout.trimEnd().split('\n').length - 1);
  });

  it('prints the snippet alone on stdout, and where it goes and what to set on stderr', async () => {
    for (const env of [{}, agent]) {
      const { code, stdout, stderr } = await config(['claude-code', ...DEMO], env);
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

  it('says of the gateway that it is not there yet, also where that is the only way', async () => {
    for (const args of [['claude-code', '--gateway'], ['n8n']]) {
      const { code, stdout, stderr } = await config([...args, ...DEMO], agent);
      expect(code, stderr).toBe(0);
      expect(stdout).toContain(`${agent.BROKER_URL}/mcp/demo`);
      expect(stderr).toMatch(/^- this needs the gateway .* does not have yet$/m);
    }
  });

  it('takes the daemon and the server that are named', async () => {
    const urls = ['--url', 'https://broker.example.com/', '--server-url', 'https://mcp.example.com/mcp'];
    const gateway = await config(['codex', '--connection', 'coda@alice', ...urls]);
    expect(gateway.stdout).toBe(
      '[mcp_servers.coda-alice]\nurl = "https://broker.example.com/mcp/coda%40alice"\nbearer_token_env_var = "BROKER_AGENT_KEY"\n',
    );
    const exec = await config(['codex', '--exec', '--connection', 'coda@alice', ...urls]);
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
    for (const env of [{}, { BROKER_HOME: '/nonexistent' }, { ...agent, BROKER_URL }]) {
      const { code, stdout, stderr } = await config(['claude-code', '--connection', 'notion@acme'], env);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        mcpServers: { 'notion-acme': { url: 'https://mcp.notion.com/mcp' } },
      });
      expect(stderr).toMatch(
        /^warning: .*; https:\/\/mcp\.notion\.com\/mcp is where such a server usually is/,
      );
    }
  });

  it.each([
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

describe('the snippet for the MCP TypeScript SDK 1', () => {
  it('runs as it is printed, by the broker’s token and by broker exec', async () => {
    const byToken = await config(['mcp-typescript-v1', ...DEMO], agent);
    const { stdout } = await runSnippet('agent.ts', byToken.stdout, agent);
    expect(stdout).toContain("name: 'whoami'");

    const byExec = await config(['mcp-typescript-v1', '--exec', ...DEMO], agent);
    writeFileSync(join(journey.home.path, 'exec.ts'), byExec.stdout);
    const program = ['--', process.execPath, join(journey.home.path, 'exec.ts')];
    const run = await journey.run(['exec', 'demo', ...program], { env: agent });
    expect([run.code, run.stdout]).toEqual([0, expect.stringContaining("name: 'whoami'")]);
  });

  it('reports a refused token, so that one of unknown end is replaced', async () => {
    // Stands before the MCP server and refuses as often as it is told.
    const front = createServer(async (request, response) => {
      if (refuse > 0) {
        refuse -= 1;
        refused.push(String(request.headers.authorization));
        return void response.writeHead(401).end();
      }
      const { host: _, ...headers } = request.headers as Record<string, string>;
      const body = ['GET', 'DELETE'].includes(request.method ?? '') ? {} : { body: await bodyOf(request) };
      const answer = await fetch(journey.mcp.url, { method: request.method ?? 'GET', headers, ...body });
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    const serverUrl = await listenOnLoopback(front);
    try {
      const text = await config(['mcp-typescript-v1', '--server-url', serverUrl, ...DEMO], agent);
      refuse = 1;
      makeOlder(journey.vaultPath);
      const before = journey.authorizationServer.refreshes();
      const { stdout } = await runSnippet('refused.ts', text.stdout, agent);
      expect(stdout).toContain("name: 'whoami'");
      expect(journey.authorizationServer.refreshes()).toBe(before + 1);
      expect(refused).toEqual([expect.stringMatching(/^Bearer \S+$/)]);
    } finally {
      await closeServer(front);
    }
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

/** As if the token had come a minute ago: one that was refused sooner than that is not refreshed again. */
function makeOlder(vaultPath: string): void {
  const database = new DatabaseSync(vaultPath);
  database.exec('UPDATE connections SET received_at = received_at - 60000');
  database.close();
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}
