import { describe, expect, it } from 'vitest';
import type { Fault } from '../support/fault.ts';
import { namesResource, openMannerWorld, refusal } from '../support/manner-world.ts';
import { connectionRow, journal, rowsOf } from '../support/vault-file.ts';

const { world, start, login, refresh, codes, refreshes, refuse, settings, authMethods } = openMannerWorld();

describe('a server that refuses whatever it is asked', () => {
  it.each([
    ['invalid_request', 3, 'config_error'],
    ['invalid_target', 2, 'config_error'],
    ['invalid_scope', 2, 'config_error'],
    ['invalid_client', 1, 'client_invalid'],
    ['unsupported_grant_type', 1, 'config_error'],
    ['invalid_grant', 1, 'upstream_unavailable'],
  ])('with %s at a refresh is asked %i times, and nothing is remembered', async (code, times, told) => {
    await start();
    await login();
    refuse('refresh_token', code);
    await expect(refresh()).rejects.toMatchObject({ code: told });
    expect(refreshes()).toHaveLength(times);
    expect(new Set(refreshes()).size).toBe(times);
    expect(settings()).toEqual({});
    // The server used nothing up: each presentation is on record, and none is open.
    expect(journal(world().vaultPath).map(({ attempt, outcome }) => [attempt, outcome])).toEqual(
      Array.from({ length: times }, (_, index) => [index + 1, code]),
    );
    expect(connectionRow(world().vaultPath)).toMatchObject({ generation: 1, code });
  });

  it('with invalid_client is shown the secret in each way once', async () => {
    const both = ['client_secret_post', 'client_secret_basic'];
    await start({
      metadata: (document) => ({ ...document, token_endpoint_auth_methods_supported: both }),
    });
    await login();
    refuse('refresh_token', 'invalid_client');
    await expect(refresh()).rejects.toMatchObject({ code: 'client_invalid' });
    expect(refreshes()).toEqual(['resource secret', 'resource']);
    expect(authMethods()).toEqual(['client_secret_post']);
  });

  it.each([
    ['invalid_request', 2],
    ['invalid_target', 2],
    ['invalid_scope', 1],
    ['invalid_client', 1],
    ['invalid_grant', 1],
    ['server_error', 1],
  ])('with %s at the login is asked %i times, and told with that', async (code, times) => {
    await start();
    refuse('authorization_code', code);
    await expect(login()).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining(`"${code}"`),
    });
    expect(codes()).toHaveLength(times);
    expect(rowsOf(world().vaultPath, 'SELECT * FROM connections')).toEqual([]);
  });

  it('and has spent the code by its first refusal is told with that refusal', async () => {
    await start();
    world().authorizationServer.fail(({ grantType, form = {} }) => {
      if (grantType !== 'authorization_code') return undefined;
      return refusal(namesResource(form) ? 'invalid_target' : 'invalid_grant');
    });
    await expect(login()).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining('"invalid_target"'),
    });
    expect(codes()).toEqual(['resource', '']);
  });

  it.each<[string, Fault]>([
    ['is out of order', { status: 503, body: { error: 'invalid_target' } }],
    ['is too busy', { status: 429, body: { error: 'invalid_target' } }],
    ['answers a page', { status: 400, body: '<h1>invalid_target</h1>' }],
    ['does not answer', { destroyAfter: true }],
  ])('because it %s is not asked in another way at a refresh', async (_, fault) => {
    await start();
    await login();
    world().authorizationServer.fail(({ grantType }) => (grantType ? fault : undefined));
    await expect(refresh()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(refreshes()).toEqual(['resource']);
  });
});
