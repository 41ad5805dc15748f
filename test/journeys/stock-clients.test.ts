import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { NewAgent } from '../../src/broker/agents.ts';
import { newAgent } from '../support/agents.ts';
import { isRefresh } from '../support/gate.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { endAccessToken, prepareDemo, withBroker } from '../support/prepare.ts';
import { STOCK_MCP_CLIENTS, type StockAgent } from '../support/stock-mcp-clients.ts';

/** What callers.test.ts shows at work; here is what they do when something ends or is wrong. */
const clients = Object.entries(STOCK_MCP_CLIENTS);

const run = promisify(execFile);

let journey: Journey;
/** `http://127.0.0.1:PORT/oauth`. */
let issuer: string;
let agent: StockAgent;
/** Knows `demo` too. */
let second: StockAgent;
/** May use nothing there is. */
let stranger: StockAgent;

/** Makes an agent, by default one that may use `demo`. */
async function addAgent(agent: Partial<NewAgent> & { name: string }): Promise<StockAgent> {
  const { key } = await withBroker(journey, (broker) =>
    broker.agents.add(newAgent({ allow: ['demo'], ...agent })),
  );
  return { issuer, name: agent.name, key: key.reveal(), mcpUrl: journey.mcp.url };
}

/** `curl -u`, as a shell script would. */
async function curl({ name, key }: StockAgent, ...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await run('curl', ['-sS', '-u', `${name}:${key}`, ...args, `${issuer}/token`]);
  return JSON.parse(stdout);
}

const GRANT = ['-d', 'grant_type=client_credentials'];

beforeAll(async () => {
  journey = await startJourney();
  const key = await prepareDemo(journey, { name: 'stock-bot' });
  // More keys are wrong here than an address may send.
  const { url } = await journey.serve(['--auth-failures', 'none']);
  issuer = `${url}/oauth`;
  agent = { issuer, name: 'stock-bot', key, mcpUrl: journey.mcp.url };
  second = await addAgent({ name: 'second-bot' });
  stranger = await addAgent({ name: 'stranger', allow: ['other'] });
});

afterAll(() => journey.close());

/** Whose token it is, said by the MCP server. */
const whoami = (accessToken: unknown) => callTool(journey.mcp.url, String(accessToken), 'whoami');

describe('OAuth clients', () => {
  it('of nothing but fetch get a token with the credentials in the body', async () => {
    const form = { grant_type: 'client_credentials', client_id: agent.name, client_secret: agent.key };
    const body = new URLSearchParams({ ...form, scope: 'connection:demo' });
    const answer = await fetch(`${issuer}/token`, { method: 'POST', body });
    expect(answer.status).toBe(200);
    expect(await whoami(((await answer.json()) as Record<string, unknown>).access_token)).toBe('alice');
  });

  it('like openid-client do, from discovery on, with the credentials in the body', async () => {
    const { name, key } = agent;
    const options = { algorithm: 'oauth2' as const, execute: [openid.allowInsecureRequests] };
    const inBody = openid.ClientSecretPost(key);
    const config = await openid.discovery(new URL(issuer), name, {}, inBody, options);
    expect(config.serverMetadata().issuer).toBe(issuer);
    const tokens = await openid.clientCredentialsGrant(config, { resource: journey.mcp.url });
    expect(tokens.expiresIn()).toBeGreaterThan(3000);
    expect(await whoami(tokens.access_token)).toBe('alice');
  });

  it.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ])('like oauth4webapi do, from discovery on, by %s', async (_, authentication) => {
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
  it('replaces a token that ends, with one refresh for all', async () => {
    const connected = await Promise.all(clients.map(([, connect]) => connect(agent)));
    const refreshes = journey.authorizationServer.refreshes();
    endAccessToken(journey);
    const seen = journey.mcp.requests.length;
    expect(await Promise.all(connected.map((client) => client.callTool('whoami')))).toEqual(
      clients.map(() => 'alice'),
    );
    const calls = journey.mcp.requests.slice(seen).filter(({ rpcMethod }) => rpcMethod === 'tools/call');
    expect(calls.filter(({ status }) => status === 401)).toHaveLength(clients.length);
    expect(journey.authorizationServer.refreshes()).toBe(refreshes + 1);
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
    await withBroker(journey, (broker) => broker.agents.revoke(second.name));
    const brief = await addAgent({ name: 'brief-bot', expiresAt: Date.now() + 200 });
    await vi.waitUntil(async () => 'error' in (await curl(brief, ...GRANT)), { timeout: 5000 });
    for (const each of [second, brief])
      expect(await curl(each, ...GRANT)).toMatchObject({ error: 'invalid_client' });
  });

  describe('with the connection itself', () => {
    beforeAll(() => {
      // The token has ended, and the server has forgotten our client meanwhile.
      endAccessToken(journey);
      const body = { error: 'invalid_client' };
      journey.authorizationServer.fail((request) => (isRefresh(request) ? { status: 401, body } : undefined));
    });

    it.each(clients)('%s tells the command that mends it', async (_, connect) => {
      await expect(connect(agent)).rejects.toThrow(/next step: broker login demo/);
    });
  });
});
