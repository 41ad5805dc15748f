import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fingerprint } from '../../src/secret.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { type McpServerOptions, type McpTestServer, startMcpServer } from '../support/mcp-server.ts';
import { signIn } from './oauth-client.ts';

let authorizationServer: AuthorizationServer;
let mcp: McpTestServer | undefined;

async function start(options: McpServerOptions = {}): Promise<McpTestServer> {
  mcp = await startMcpServer({ authorizationServer, ...options });
  return mcp;
}

async function tokenFor(resource: string, scope = 'mcp:all'): Promise<string> {
  const { tokens } = await signIn(authorizationServer, { scope: `openid ${scope}`, resource });
  return tokens.access_token;
}

async function connect(url: string, token?: string): Promise<Client> {
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport as Transport);
  return client;
}

const text = (value: string) => ({ content: [{ type: 'text', text: value }] });
const wellKnown = (url: string, path: string) =>
  new URL(`/.well-known/oauth-protected-resource${path}`, url).href;

beforeEach(async () => {
  authorizationServer = await startAuthorizationServer();
});

afterEach(async () => {
  await mcp?.close();
  mcp = undefined;
  await authorizationServer.close();
});

describe('the MCP server', () => {
  it('runs tools for a token that was issued for it', async () => {
    const { url, requests } = await start();
    const token = await tokenFor(url);
    const client = await connect(url, token);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'whoami']);
    expect(await client.callTool({ name: 'echo', arguments: { text: 'hello' } })).toMatchObject(
      text('hello'),
    );
    expect(await client.callTool({ name: 'whoami' })).toMatchObject(text('alice'));
    await client.close();
    expect(requests.filter(({ rpcMethod }) => rpcMethod === 'tools/call')).toHaveLength(2);
    expect(requests[0]).toMatchObject({ status: 200, rpcMethod: 'initialize', bearer: fingerprint(token) });
    expect(JSON.stringify(requests)).not.toContain(token);
  });

  it('refuses a token that was issued for another resource', async () => {
    authorizationServer.allowResource('http://127.0.0.1:29998/other', 'mcp:all');
    const { url } = await start();
    await expect(connect(url, await tokenFor('http://127.0.0.1:29998/other'))).rejects.toThrow();
    expect(mcp?.requests[0]).toMatchObject({ status: 401 });
  });

  it('refuses a token without its scope with insufficient_scope', async () => {
    const { url } = await start({ scope: 'mcp:write' });
    authorizationServer.allowResource(url, 'mcp:read mcp:write');
    const authorization = `Bearer ${await tokenFor(url, 'mcp:read')}`;
    const response = await fetch(url, { method: 'POST', headers: { authorization } });
    expect(response.status).toBe(403);
    expect(response.headers.get('www-authenticate')).toContain('error="insufficient_scope"');
  });

  it('refuses a token after its grant was revoked', async () => {
    const { url } = await start();
    const token = await tokenFor(url);
    await authorizationServer.revokeGrantsOf('alice');
    await expect(connect(url, token)).rejects.toThrow();
  });

  it('needs no token when it is open', async () => {
    const { url } = await startOpen();
    const client = await connect(url);
    expect(await client.callTool({ name: 'whoami' })).toMatchObject(text('nobody'));
    await client.close();
  });

  it('cannot be started without deciding about tokens', async () => {
    await expect(startMcpServer()).rejects.toThrow(TypeError);
  });
});

describe('the challenge and metadata of the MCP server (RFC 9728)', () => {
  it('names the path-inserted metadata in the challenge', async () => {
    const { url } = await start();
    const response = await fetch(url, { method: 'POST' });
    expect(response.status).toBe(401);
    const challenge = response.headers.get('www-authenticate');
    expect(challenge).toMatch(/^Bearer error="invalid_token"/);
    expect(challenge).toContain('scope="mcp:all"');
    expect(challenge).toContain(`resource_metadata="${wellKnown(url, '/mcp')}"`);
    expect(await (await fetch(wellKnown(url, '/mcp'))).json()).toEqual({
      resource: url,
      authorization_servers: [authorizationServer.issuer],
      scopes_supported: ['mcp:all'],
    });
    expect((await fetch(wellKnown(url, ''))).status).toBe(404);
  });

  it('names nothing in a bare challenge, though the metadata is there', async () => {
    const { url } = await start({ challenge: 'bare', scope: '', scopesSupported: [] });
    const response = await fetch(url, { method: 'POST' });
    expect(response.headers.get('www-authenticate')).not.toMatch(/resource_metadata|scope=/);
    expect(await (await fetch(wellKnown(url, '/mcp'))).json()).not.toHaveProperty('scopes_supported');
  });

  it('has its metadata only at the root, or nowhere, when told so', async () => {
    const atRoot = await start({ challenge: 'bare', metadataAt: 'root' });
    expect((await fetch(wellKnown(atRoot.url, '/mcp'))).status).toBe(404);
    expect(await (await fetch(wellKnown(atRoot.url, ''))).json()).toMatchObject({ resource: atRoot.url });
    await atRoot.close();
    const nowhere = await start({ challenge: 'bare', metadataAt: 'nowhere' });
    expect((await fetch(wellKnown(nowhere.url, ''))).status).toBe(404);
  });

  it('names another resource when told so, and takes tokens for that one', async () => {
    const { url } = await start({ resourceOverride: 'https://mcp.example.com/' });
    expect(await (await fetch(wellKnown(url, '/mcp'))).json()).toMatchObject({
      resource: 'https://mcp.example.com/',
    });
    const client = await connect(url, await tokenFor('https://mcp.example.com/'));
    await client.close();
    await expect(connect(url, await tokenFor(url))).rejects.toThrow();
  });
});

async function startOpen(): Promise<McpTestServer> {
  mcp = await startMcpServer({ withoutAuth: true });
  return mcp;
}
