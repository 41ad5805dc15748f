import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { diagnose } from '../../src/broker/doctor.ts';
import type { Fetch } from '../../src/oauth/http.ts';
import { openPractice } from '../support/doctor.ts';
import type { Fault } from '../support/fault.ts';
import { closeServer, listenOnLoopback } from '../support/loopback.ts';
import { fetch } from '../support/provider.ts';
import { connectionRow } from '../support/vault-file.ts';
import { startWorld } from '../support/world.ts';

const A_DAY_MS = 24 * 3_600_000;

const { world, broker, startConnected, examine, examineOne, fail, registered, redirectUri } = openPractice();

describe('discovery', () => {
  it('fails when the authorization server is down, and the token still works', async () => {
    await startConnected();
    await world().authorizationServer.setListening(false);
    const { code, step, verdicts } = await examineOne();
    expect(verdicts).toMatchObject({ discovery: 'failed', token: 'ok', initialize: 'ok' });
    expect(step('registration')?.message).toContain('did not say whether it still knows it');
    expect(code).toBe(75);
  });

  it('fails when the MCP server is down, and the registration is still there', async () => {
    await startConnected();
    await world().mcp.close();
    const { code, verdicts } = await examineOne();
    expect(verdicts).toMatchObject({ discovery: 'failed', registration: 'ok', initialize: 'failed' });
    expect(code).toBe(75);
  });

  it('fails for metadata of another issuer, showing both', async () => {
    await startConnected();
    fail(({ path }) => path.startsWith('/.well-known/'), {
      status: 200,
      body: { issuer: 'https://evil.example.com' },
    });
    const { code, step, verdicts } = await examineOne();
    expect(step('discovery')).toMatchObject({ verdict: 'failed', code: 'issuer_mismatch' });
    expect(step('discovery')?.remedy).toContain('https://evil.example.com');
    expect(verdicts.initialize).toBe('ok');
    expect(code).toBe(2);
  });

  it('warns when the server names another authorization server than at the login', async () => {
    await startConnected();
    await world().mcp.close();
    const moved = await startWorld({ mcp: { port: Number(new URL(world().mcp.url).port) } });
    const { step } = await examineOne();
    await moved.close();
    expect(step('discovery')).toMatchObject({ verdict: 'warning', remedy: 'broker login demo' });
    expect(step('discovery')?.message).toContain(`the login is from ${world().authorizationServer.issuer}`);
  });
});

describe('the token', () => {
  it('that the server refuses asks for a refresh', async () => {
    await startConnected();
    await world().authorizationServer.revokeGrantsOf('alice');
    const { code, step, verdicts } = await examineOne();
    expect(verdicts).toMatchObject({ token: 'ok', initialize: 'failed' });
    expect(step('initialize')).toMatchObject({ remedy: 'broker refresh demo' });
    expect(step('initialize')?.message).toBe('the server refuses the token (401 invalid_token)');
    expect(code).toBe(2);
    expect(connectionRow(world().vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
  });

  it('of too small a scope asks for a login with all of it', async () => {
    await startConnected({ mcp: { scope: 'mcp:read mcp:write' } }, { scopes: ['mcp:read'] });
    const { code, step } = await examineOne();
    expect(step('initialize')).toMatchObject({
      verdict: 'failed',
      remedy: 'broker login demo --scope "mcp:read mcp:write"',
    });
    expect(code).toBe(2);
  });

  it.each<[string, Fault, number]>([
    ['degraded', { status: 503 }, 75],
    ['client_invalid', { status: 401, body: { error: 'invalid_client' } }, 2],
    ['config_error', { status: 400, body: { error: 'invalid_target' } }, 2],
  ])('that ended in state %s fails with what mends it', async (state, fault, expected) => {
    await startConnected({ authorizationServer: { accessTokenSeconds: 20 } });
    world().clock.jump(20_000);
    fail(({ path }) => path === '/token', fault);
    await expect(broker().token(OPERATOR, 'demo')).rejects.toThrow();
    const { code, step } = await examineOne();
    expect(step('token')).toMatchObject({
      verdict: 'failed',
      remedy: state === 'degraded' ? 'broker refresh demo' : 'broker login demo',
    });
    expect(step('token')?.message).toContain(`${state}: `);
    expect(code).toBe(expected);
  });
});

describe('the registration', () => {
  it('that is gone asks for a login', async () => {
    await startConnected();
    const { registration_client_uri, registration_access_token } = registered();
    const deleted = await fetch(registration_client_uri as string, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${registration_access_token}` },
    });
    expect(deleted.status).toBe(204);
    const { code, step } = await examineOne();
    expect(step('registration')).toMatchObject({
      verdict: 'failed',
      code: 'client_invalid',
      remedy: 'broker login demo',
    });
    expect(code).toBe(2);
  });

  it('whose reading replaces its access token keeps the new one', async () => {
    await startConnected();
    const { client_id } = registered();
    const body = { client_id, registration_access_token: 'fake-replaced-token' };
    fail(({ path }) => path.startsWith('/reg/'), { status: 200, body });
    const bearers: unknown[] = [];
    const watching: Fetch = (url, init) => {
      if (url.includes('/reg/')) bearers.push(new Headers(init?.headers).get('authorization'));
      return fetch(url, init);
    };
    const { settings, clock } = world();
    for (let visit = 1; visit <= 2; visit += 1) await diagnose({ settings, clock, fetch: watching }, 'demo');
    expect(bearers.map((each) => each === 'Bearer fake-replaced-token')).toEqual([false, true]);
  });

  it.each([
    [25, 'warning', 'ends in 25 days; signing in again gets a new one'],
    [10, 'warning', 'ends in 10 days; sign in again soon'],
    [2, 'warning', 'ends in 2 days; sign in again now'],
    [0, 'failed', 'has ended'],
  ])('whose secret ends in %i days is a %s', async (days, verdict, words) => {
    await startConnected();
    const { client_id } = registered();
    // The server replaces the secret of its client, which the doctor keeps with its end.
    const client_secret_expires_at = Math.floor((world().clock.now() + days * A_DAY_MS) / 1000) + 60 * days;
    fail(({ path }) => path.startsWith('/reg/'), {
      status: 200,
      body: { client_id, client_secret: 'fake-secret', client_secret_expires_at },
    });
    await examine('demo');
    const { step } = await examineOne();
    expect(step('registration')).toMatchObject({ verdict, remedy: 'broker login demo' });
    expect(step('registration')?.message).toContain(words);
    expect(JSON.stringify(step('registration'))).not.toContain('fake-secret');
  });
});

describe('the redirect', () => {
  it('whose port is taken is a warning for the next login', async () => {
    await startConnected();
    const { port } = new URL(await redirectUri());
    const other = createServer();
    await listenOnLoopback(other, Number(port));
    const { code, step } = await examineOne();
    await closeServer(other);
    expect(step('redirect')).toMatchObject({ verdict: 'warning' });
    expect(step('redirect')?.message).toContain(`port ${port} cannot be used (EADDRINUSE)`);
    expect(step('redirect')?.remedy).toContain('broker login demo --callback-port');
    expect(code).toBe(1);
  });

  it('that is not on this machine is said', async () => {
    const redirectUri = 'https://broker.example.com/oauth/callback';
    await startConnected({}, { redirectUri, by: 'paste' });
    const { step } = await examineOne();
    expect(step('redirect')).toMatchObject({ verdict: 'ok' });
    expect(step('redirect')?.message).toContain('is not on this machine');
  });
});
