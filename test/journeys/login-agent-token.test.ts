import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BrokerProcess } from '../support/broker-process.ts';
import { call } from '../support/http-call.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';

/** The first token lives for a second, because one test waits for its end; all later ones for an hour. */
let lifetime = 1;

let journey: Journey;
let key: string;
let daemon: { process: BrokerProcess; url: string };

const ask = (path = '/v1/connections/demo/token') =>
  call(`${daemon.url}${path}`, { headers: { authorization: `Bearer ${key}` } });

beforeAll(async () => {
  journey = await startJourney({ authorizationServer: { accessTokenSeconds: () => lifetime } });
});

afterAll(() => journey.close());

/** One story; each test is its next chapter. */
describe('from an empty machine to an agent with a fresh token', () => {
  it('broker login is driven by its events', async () => {
    const { code, events, stderr, page } = await journey.login();
    expect(code, stderr).toBe(0);
    expect(events).toEqual([
      { event: 'discovered', issuer: journey.authorizationServer.issuer, resource: journey.mcp.url },
      { event: 'registered', client_id: expect.any(String), source: 'registered' },
      {
        event: 'authorization_url',
        url: expect.stringContaining(journey.authorizationServer.issuer),
        redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/),
      },
      {
        event: 'connected',
        connection: 'demo',
        scope: 'mcp:all',
        expires_in: 1,
        refresh_token: true,
        issuer: journey.authorizationServer.issuer,
        resource: journey.mcp.url,
      },
    ]);
    expect(page).toContain('demo is connected');
  });

  it('broker list and show tell what is connected', async () => {
    const [list, show] = await Promise.all([journey.run(['list']), journey.run(['show', 'demo', '--json'])]);
    expect(list.stdout).toMatch(/^NAME +STATE .*\ndemo +ok /);
    expect(JSON.parse(show.stdout)).toMatchObject({ name: 'demo', state: 'ok', url: journey.mcp.url });
  });

  it('broker agent add prints the key, alone, on stdout', async () => {
    const { code, stdout, stderr } = await journey.run(['agent', 'add', 'docs-bot', '--allow', 'demo']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^mtb_[\w-]{43}\n$/);
    expect(stderr).not.toContain(stdout.trim());
    key = stdout.trim();
  });

  it('broker serve tells where it listens and what is connected', async () => {
    daemon = await journey.serve();
    await daemon.process.waitFor(/demo: ok/, 'stderr');
    expect(daemon.process.stdout()).toBe('');
  });

  it('50 agents at once, after the first token has ended, cause exactly one refresh', async () => {
    const { expires_at } = (await ask('/v1/connections/demo')).json;
    await vi.waitUntil(() => Date.now() > Date.parse(String(expires_at)) + 1000, { timeout: 5000 });
    lifetime = 3600;
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ json }) => json.access_token)).size).toBe(1);
    expect(answers[0]?.json).toMatchObject({ generation: 2 });
    expect(journey.authorizationServer.refreshes()).toBe(1);
  });

  it('the MCP server takes the token the agent gets', async () => {
    const { access_token } = (await ask()).json;
    expect(await callTool(journey.mcp.url, String(access_token), 'whoami')).toBe('alice');
    expect(await callTool(journey.mcp.url, String(access_token), 'echo', { text: 'hello' })).toBe('hello');
    expect(journey.authorizationServer.refreshes()).toBe(1);
  });

  it('broker token and broker check ask the daemon when they have an agent key', async () => {
    const env = { BROKER_AGENT_KEY: key, BROKER_URL: daemon.url, BROKER_HOME: '/nonexistent' };
    const [token, header, check] = await Promise.all([
      journey.run(['token', 'demo', '--json'], { env }),
      journey.run(['token', 'demo', '--header'], { env }),
      journey.run(['check', '--json'], { env }),
    ]);
    expect(token.code, token.stderr).toBe(0);
    expect(JSON.parse(token.stdout)).toMatchObject({ connection: 'demo', token_type: 'Bearer' });
    expect(header.stdout).toMatch(/^Authorization: Bearer \S+\n$/);
    expect([check.code, JSON.parse(check.stdout)]).toEqual([
      0,
      [expect.objectContaining({ connection: 'demo', exit_code: 0 })],
    ]);
  });

  it('broker check is silent and 0', async () => {
    expect(await journey.run(['check'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('a revoked agent is refused at its next call, while the daemon runs', async () => {
    expect((await journey.run(['agent', 'revoke', 'docs-bot'])).code).toBe(0);
    expect((await ask()).status).toBe(401);
  });

  it('SIGTERM stops the daemon in good order', async () => {
    expect(await daemon.process.stop('SIGTERM')).toBe(0);
    expect(daemon.process.stderr()).toContain('stopped');
    await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('broker logout ends it, there and here', async () => {
    const { code, stdout, stderr } = await journey.run(['logout', 'demo', '--json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      connection: 'demo',
      revocation: 'revoked',
      registration_deleted: true,
    });
    const after = await journey.run(['token', 'demo']);
    expect([after.code, after.stdout]).toEqual([2, '']);
  });
});
