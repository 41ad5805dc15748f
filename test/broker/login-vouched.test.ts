import { describe, expect, it } from 'vitest';
import { OAUTH, openDiscoveryWorld, paths, RESOURCE, UNAUTHORIZED } from '../support/discovery-world.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';

const { world, broker, start, serve, guardedBy, issuing, asked, refused } = openDiscoveryWorld();

describe('what an operator vouches for', () => {
  it('is an issuer that the document of the announced server may name', async () => {
    const vouched = await issuing(() => ({ issuer: 'https://evil.example.com' }));
    const announced = await issuing(() => ({ issuer: vouched.url }));
    const { origin } = await asked(await guardedBy(announced.url), { pinnedIssuer: vouched.url });
    expect(origin).toBe(announced.url);
    expect(paths(vouched)).toEqual([OAUTH]);
  });

  it('is the only issuer: another is refused although the server announces it', async () => {
    const server = await issuing();
    const vouched = await issuing(() => ({ issuer: 'https://accounts.example.com' }));
    const resource = await guardedBy(server.url);
    await refused(resource, { pinnedIssuer: vouched.url }).toMatchObject({
      code: 'issuer_mismatch',
      hint: expect.stringContaining(`announced as "${vouched.url}"`),
    });
  });

  it('is an issuer for a server that names none', async () => {
    const server = await issuing();
    const resource = await serve(() => ({ '/mcp': { status: 403 } }));
    expect((await asked(resource, { pinnedIssuer: server.url })).origin).toBe(server.url);
  });

  it('is a resource, whatever the metadata names', async () => {
    const server = await issuing();
    const pinnedResource = 'https://MCP.example.com/mcp';
    const resource = await serve(() => ({
      '/mcp': UNAUTHORIZED,
      [RESOURCE]: {
        status: 200,
        body: { resource: 'https://internal.example.com', authorization_servers: [server.url] },
      },
    }));
    await refused(resource).toMatchObject({ code: 'resource_mismatch' });
    const { searchParams } = await asked(resource, { pinnedResource });
    expect(searchParams.get('resource')).toBe(pinnedResource);
  });

  it('is PKCE, once and for all', async () => {
    await world().close();
    const metadata = ({ code_challenge_methods_supported: _, ...rest }: Record<string, unknown>) => rest;
    await start({ authorizationServer: { metadata } });
    const { authorizationServer, mcp } = world();
    const login = beginLogin(broker(), mcp.url);
    await expect(login.done).rejects.toMatchObject({ code: 'pkce_unsupported' });
    const { authorizationUrl } = await signIn(broker(), authorizationServer, mcp.url, { pkce: 'assumed' });
    expect(authorizationUrl.searchParams.get('code_challenge_method')).toBe('S256');
    await signIn(broker(), authorizationServer, mcp.url);
  });

  it('is kept with the server by a login that worked, and by no other', async () => {
    const settings = () => rowsOf(world().vaultPath, 'SELECT pinned_issuer, settings FROM servers');
    const { authorizationServer, mcp } = world();
    const pinnedIssuer = authorizationServer.issuer;
    const wishes = { pinnedIssuer, pinnedResource: mcp.url };
    await expect(
      signIn(broker(), authorizationServer, mcp.url, { ...wishes, deny: true }),
    ).rejects.toMatchObject({ code: 'login_denied' });
    expect(settings()).toEqual([]);
    await signIn(broker(), authorizationServer, mcp.url, wishes);
    const kept = [
      {
        pinned_issuer: pinnedIssuer,
        settings: JSON.stringify({ pinnedResource: mcp.url, network: 'private' }),
      },
    ];
    expect(settings()).toEqual(kept);
    await signIn(broker(), authorizationServer, mcp.url);
    expect(settings()).toEqual(kept);
    await signIn(broker(), authorizationServer, mcp.url, { pinnedIssuer: null });
    expect(settings()).toEqual([{ ...kept[0], pinned_issuer: null }]);
  });
});
