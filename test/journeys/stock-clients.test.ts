import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isRefresh } from '../support/gate.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { STOCK_MCP_CLIENTS, type StockAgent } from '../support/stock-mcp-clients.ts';

const run = promisify(execFile);

/** Of tokens issued from now on, in seconds. */
let lifetime = 3600;

let journey: Journey;
/** `http://127.0.0.1:PORT/oauth`. */
let issuer: string;
let agent: StockAgent;
/** Knows `demo` too. */
let second: StockAgent;
/** May use nothing there is. */
let stranger: StockAgent;
let isBroken = false;

async function addAgent(name: string, ...args: string[]): Promise<StockAgent> {
  const { code, stdout, stderr } = await journey.run(['agent', 'add', name, ...args]);
  expect(code, stderr).toBe(0);
  return { issuer, name, key: stdout.trim(), mcpUrl: journey.mcp.url };
}

/** `curl -u`, as a shell script would. */
async function curl({ name, key }: StockAgent, ...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await run('curl', ['-sS', '-u', `${name}:${key}`, ...args, `${issuer}/token`]);
  return JSON.parse(stdout);
}

const GRANT = ['-d', 'grant_type=client_credentials'];

beforeAll(async () => {
  journey = await startJourney({ authorizationServer: { accessTokenSeconds: () => lifetime } });
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  issuer = `${(await journey.serve()).url}/oauth`;
  [agent, second, stranger] = await Promise.all([
    addAgent('stock-bot', '--allow', 'demo'),
    addAgent('second-bot', '--allow', 'demo'),
    addAgent('stranger', '--allow', 'other', '--allow-unknown'),
  ]);
});

afterAll(() => journey.close());

/** Whose token it is, said by the MCP server. */
const whoami = (accessToken: unknown) => callTool(journey.mcp.url, String(accessToken), 'whoami');

describe('OAuth clients', () => {
  it('curl -u gets a token that the MCP server takes', async () => {
    const answer = await curl(agent, ...GRANT, '--data-urlencode', `resource=${journey.mcp.url}`);
    expect(answer).toMatchObject({ token_type: 'Bearer', scope: 'mcp:all' });
    expect(await whoami(answer.access_token)).toBe('alice');
  });

  it('a form of nothing but fetch does, with the credentials in the body', async () => {
    const form = { grant_type: 'client_credentials', client_id: agent.name, client_secret: agent.key };
    const body = new URLSearchParams({ ...form, scope: 'connection:demo' });
    const answer = await fetch(`${issuer}/token`, { method: 'POST', body });
    expect(answer.status).toBe(200);
    expect(await whoami(((await answer.json()) as Record<string, unknown>).access_token)).toBe('alice');
  });

  it.each([
    ['client_secret_basic', openid.ClientSecretBasic],
    ['client_secret_post', openid.ClientSecretPost],
  ])('openid-client does, from discovery on, by %s', async (_, authentication) => {
    const { name, key } = agent;
    const options = { algorithm: 'oauth2' as const, execute: [openid.allowInsecureRequests] };
    const config = await openid.discovery(new URL(issuer), name, {}, authentication(key), options);
    expect(config.serverMetadata().issuer).toBe(issuer);
    const tokens = await openid.clientCredentialsGrant(config, { resource: journey.mcp.url });
    expect(tokens.expiresIn()).toBeGreaterThan(3000);
    expect(await whoami(tokens.access_token)).toBe('alice');
  });

  it.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ])('oauth4webapi does, from discovery on, by %s', async (_, authentication) => {
    const insecure = { [oauth.allowInsecureRequests]: true };
    const url = new URL(issuer);
    const found = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure });
    const server = await oauth.processDiscoveryResponse(url, found);
    const client = { client_id: agent.name };
    const wish = { resource: journey.mcp.url };
    const answer = await oauth.clientCredentialsGrantRequest(
      server,
      client,
      authentication(agent.key),
      wish,
      insecure,
    );
    const tokens = await oauth.processClientCredentialsResponse(server, client, answer);
    expect(await whoami(tokens.access_token)).toBe('alice');
  });

  it('of several agents get the same token, and cost the server nothing', async () => {
    const answers = await Promise.all([agent, second, agent].map((each) => curl(each, ...GRANT)));
    expect(new Set(answers.map(({ access_token }) => access_token)).size).toBe(1);
    expect(journey.authorizationServer.refreshes()).toBe(0);
  });
});

describe('the MCP SDK, unmodified', () => {
  const clients = Object.entries(STOCK_MCP_CLIENTS);

  it.each(clients)('%s calls the MCP server', async (_, connect) => {
    const client = await connect(agent);
    expect(await client.callTool('whoami')).toBe('alice');
    await client.close();
  });

  it('replaces a token that ends, with one refresh for all', async () => {
    lifetime = 5;
    expect((await journey.run(['refresh', 'demo'])).code).toBe(0);
    lifetime = 3600;
    const { access_token } = await curl(agent, ...GRANT);
    const connected = await Promise.all(clients.map(([, connect]) => connect(agent)));
    const refreshes = journey.authorizationServer.refreshes();
    await vi.waitUntil(() => hasEnded(access_token), { timeout: 10_000 });
    const seen = journey.mcp.requests.length;
    expect(await Promise.all(connected.map((client) => client.callTool('whoami')))).toEqual(
      clients.map(() => 'alice'),
    );
    const statuses = journey.mcp.requests.slice(seen).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(clients.length);
    expect(journey.authorizationServer.refreshes()).toBeLessThanOrEqual(refreshes + 1);
    await Promise.all(connected.map((client) => client.close()));
  });

  it.each(clients)('%s tells that a key is wrong', async (_, connect) => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    await expect(connect({ ...agent, key: 'mtb_wrong' })).rejects.toThrow(/the agent key is not valid/);
    warned.mockRestore();
  });

  it.each(clients)('%s tells that the resource is not for this agent', async (_, connect) => {
    await expect(connect(stranger)).rejects.toThrow(/no connection of this agent/);
  });
});

describe('when something is wrong', () => {
  it('an unknown resource is told as such, with what there is', async () => {
    const answer = await curl(agent, ...GRANT, '-d', 'resource=https://unknown.example.com');
    expect(answer).toMatchObject({
      error: 'invalid_target',
      error_description: expect.stringContaining(`with one of: demo (${journey.mcp.url})`),
    });
  });

  it('a revoked key and an expired one are refused at the next call', async () => {
    expect((await journey.run(['agent', 'revoke', second.name])).code).toBe(0);
    const brief = await addAgent('brief-bot', '--allow', 'demo', '--expires', '1s');
    await vi.waitUntil(async () => 'error' in (await curl(brief, ...GRANT)), { timeout: 5000 });
    for (const each of [second, brief])
      expect(await curl(each, ...GRANT)).toMatchObject({ error: 'invalid_client' });
  });

  it.each(Object.entries(STOCK_MCP_CLIENTS))(
    '%s tells the command that mends the connection',
    async (_, connect) => {
      await breakConnection();
      await expect(connect(agent)).rejects.toThrow(/next step: broker login demo/);
    },
  );
});

async function hasEnded(accessToken: unknown): Promise<boolean> {
  const { exp = 0 } = await journey.authorizationServer.tokenIsActive(String(accessToken));
  // The server rounds to seconds, and so may the broker.
  return exp + 1 < Date.now() / 1000;
}

/** The token ends, and the server has forgotten our client meanwhile. */
async function breakConnection(): Promise<void> {
  if (isBroken) return;
  isBroken = true;
  lifetime = 1;
  expect((await journey.run(['refresh', 'demo'])).code).toBe(0);
  const body = { error: 'invalid_client' };
  journey.authorizationServer.fail((request) => (isRefresh(request) ? { status: 401, body } : undefined));
  await vi.waitUntil(async () => 'error' in (await curl(agent, ...GRANT)), { timeout: 5000 });
}
