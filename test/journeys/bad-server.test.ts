import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from '../support/authorization-server.ts';
import { freePort } from '../support/free-port.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { type McpServerOptions, startMcpServer } from '../support/mcp-server.ts';
import { type RawAnswer, startRawServer } from '../support/raw-server.ts';
import { connectionRow } from '../support/vault-file.ts';

let journey: Journey;
let working: string;

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  working = await journey.servedToken();
});

afterAll(() => journey.close());

/** After every failure the vault opens, and the login that worked still works. */
afterEach(async () => {
  expect(await journey.servedToken()).toBe(working);
  expect(connectionRow(journey.vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
});

const login = (url: string) =>
  journey.run(['login', url, '--name', 'bad', '--no-browser', '--timeout', '10s']);

/** A login at a server that answers everything like this. */
async function loginAt(answer: (path: string) => RawAnswer) {
  const server = await startRawServer(({ path }) => answer(path));
  try {
    return await login(`${server.url}/mcp`);
  } finally {
    await server.close();
  }
}

/** A login at real servers that are set up like this. */
async function loginWith(asOptions: AuthorizationServerOptions, mcpOptions: McpServerOptions = {}) {
  const authorizationServer = await startAuthorizationServer(asOptions);
  const mcp = await startMcpServer({ authorizationServer, ...mcpOptions });
  try {
    return await login(mcp.url);
  } finally {
    await mcp.close();
    await authorizationServer.close();
  }
}

const PAGE = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' };

describe('a login at an MCP server that', () => {
  it('cannot be reached exits 75', async () => {
    const result = await login(`http://127.0.0.1:${await freePort()}/mcp`);
    expectFailure(result, 75, /cannot be reached: the connection was refused$/);
  });

  it('is not there (404) exits 2 and lists where it looked', async () => {
    const result = await loginAt(() => ({ status: 404, body: 'not found' }));
    expectFailure(result, 2, /does not say how to sign in \(it answered 404\)$/);
    expect(result.stderr).toContain('/.well-known/oauth-protected-resource/mcp (404)');
  });

  it('is a web site exits 2 and does not call that an MCP server without login', async () => {
    const result = await loginAt(() => PAGE);
    expectFailure(result, 2, /does not say how to sign in/);
    expect(result.stderr).toContain('it must be the MCP endpoint itself');
  });

  it('is out of order exits 75', async () => {
    expectFailure(
      await loginAt(() => ({ status: 500, body: 'oops' })),
      75,
      /is out of order \(it answered 500\)$/,
    );
  });

  it('cuts the connection exits 75', async () => {
    expectFailure(await loginAt(() => 'reset'), 75, /cannot be reached/);
  });

  it('needs no login exits 2', async () => {
    const mcp = await startMcpServer({ withoutAuth: true });
    expectFailure(await login(mcp.url), 2, /answers without a login$/);
    await mcp.close();
  });

  it('describes another resource exits 2 and shows both', async () => {
    const result = await loginWith({}, { resourceOverride: 'https://other.example.com/mcp' });
    expectFailure(result, 2, /describes another resource$/);
    expect(result.stderr).toContain('https://other.example.com/mcp');
  });

  it('wants a login, but does not say where, exits 2', async () => {
    const result = await loginWith({}, { challenge: 'bare', metadataAt: 'nowhere' });
    expectFailure(result, 2, /wants a login, but does not say how to sign in$/);
  });
});

describe('a login at an authorization server that', () => {
  it('names another issuer exits 2 and shows both', async () => {
    const metadata = (document: Record<string, unknown>) => ({
      ...document,
      issuer: 'https://evil.example.com',
    });
    const result = await loginWith({ metadata });
    expectFailure(result, 2, /belongs to another issuer$/);
    expect(result.stderr).toContain('https://evil.example.com');
  });

  it('offers no PKCE exits 2', async () => {
    const metadata = ({ code_challenge_methods_supported: _, ...document }: Record<string, unknown>) =>
      document;
    expectFailure(await loginWith({ metadata }), 2, /does not announce PKCE with S256$/);
  });

  it('publishes a page instead of metadata exits 2', async () => {
    const result = await withMetadata(() => PAGE);
    expectFailure(result, 2, /publishes no metadata$/);
    expect(result.stderr).toContain('(200, not ');
  });

  it('names an endpoint without encryption exits 2', async () => {
    const result = await withMetadata((issuer) => ({
      status: 200,
      body: {
        issuer,
        authorization_endpoint: 'http://as.example.com/authorize',
        token_endpoint: 'http://as.example.com/token',
        code_challenge_methods_supported: ['S256'],
      },
    }));
    expectFailure(result, 2, /refused to call http:\/\/as\.example\.com\/authorize$/);
  });

  it('registers no clients exits 2 and says what to ask its operator for', async () => {
    const metadata = ({ registration_endpoint: _, ...document }: Record<string, unknown>) => document;
    const result = await loginWith({ metadata });
    expectFailure(result, 2, /does not register clients by itself$/);
    expect(result.stderr).toMatch(/http:\/\/127\.0\.0\.1:\d+\/callback/);
    expect(result.stderr).toContain('--client-id');
  });

  it('refuses to register us exits 2 with its status, its reason in short, and what to do', async () => {
    const result = await loginWith({ openRegistration: false });
    expectFailure(result, 2, /refused to register a client: 4\d\d \w+ ".+"$/);
    expect(result.stderr).toContain('--client-id');
    expect(result.stderr.length).toBeLessThan(1000);
  });
});

/** A login where the authorization server answers all its well-known addresses like this. */
async function withMetadata(answer: (issuer: string) => RawAnswer) {
  const server = await startRawServer(({ path, headers }) => {
    const origin = `http://${headers.host}`;
    if (!path.startsWith('/.well-known/')) return { status: 401, headers: { 'www-authenticate': 'Bearer' } };
    if (!path.startsWith('/.well-known/oauth-protected-resource')) return answer(origin);
    return { status: 200, body: { resource: `${origin}/mcp`, authorization_servers: [origin] } };
  });
  try {
    return await login(`${server.url}/mcp`);
  } finally {
    await server.close();
  }
}
