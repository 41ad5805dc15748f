import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fingerprint } from '../../src/secret.ts';
import { type HostileServer, startHostileServer } from '../support/hostile-server.ts';

const REDIRECT_URI = 'http://127.0.0.1:1/callback';
const GRACE_MS = 1000;

type Fields = Record<string, string>;
type Tokens = { access_token: string; refresh_token: string };

let now = 0;
let server: HostileServer;
let clientId: string;

beforeEach(async () => {
  server = await startHostileServer({ clock: { now: () => now } });
  clientId = await register();
});

afterEach(() => server.close());

async function register(): Promise<string> {
  const response = await fetch(`${server.issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [REDIRECT_URI] }),
  });
  return ((await response.json()) as { client_id: string }).client_id;
}

async function post(fields: Fields): Promise<{ status: number; body: Tokens & { error?: string } }> {
  const response = await fetch(`${server.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: clientId, resource: server.resource, ...fields }),
  });
  return { status: response.status, body: (await response.json()) as Tokens };
}

/** A login whose last step has these fields instead of the right ones. */
async function redeem(changes: Fields = {}): ReturnType<typeof post> {
  const verifier = randomBytes(32).toString('base64url');
  const authorizationUrl = new URL(`${server.issuer}/authorize`);
  authorizationUrl.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: REDIRECT_URI,
    resource: server.resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString();
  const code = new URL(await server.approve(authorizationUrl.href)).searchParams.get('code') ?? '';
  return post({
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECT_URI,
    code_verifier: verifier,
    ...changes,
  });
}

const refresh = (refresh_token: string, changes: Fields = {}) =>
  post({ grant_type: 'refresh_token', refresh_token, ...changes });

describe('a login at the hostile server', () => {
  it.each<[string, Fields, string]>([
    ['code_verifier', { code_verifier: 'wrong' }, 'invalid_grant'],
    ['redirect_uri', { redirect_uri: 'http://127.0.0.1:2/callback' }, 'invalid_grant'],
    ['client', { client_id: 'stranger' }, 'invalid_client'],
    ['resource', { resource: 'https://other.example.com' }, 'invalid_target'],
  ])('is refused with a wrong %s', async (_, changes, error) => {
    expect((await redeem(changes)).body).toEqual({ error });
  });

  it('gives a token that opens the resource until it ends', async () => {
    const { access_token } = (await redeem()).body;
    const open = async () =>
      (await fetch(server.url, { headers: { authorization: `Bearer ${access_token}` } })).status;
    expect(await open()).toBe(200);
    now += 3_600_000;
    expect(await open()).toBe(401);
  });
});

describe('a refresh at the hostile server', () => {
  it('uses the token up, and its reuse revokes the whole family', async () => {
    const first = (await redeem()).body;
    const second = (await refresh(first.refresh_token)).body;
    expect(server.isAlive(fingerprint(first.refresh_token))).toBe(false);
    expect(server.isAlive(fingerprint(second.refresh_token))).toBe(true);
    expect((await refresh(first.refresh_token)).body).toEqual({ error: 'invalid_grant' });
    expect(server.family()).toEqual({ revoked: true, generation: 2 });
    expect(server.resourceOf(second.access_token)).toBeUndefined();
    expect((await refresh(second.refresh_token)).body).toEqual({ error: 'invalid_grant' });
    expect(server.presentations.map(({ outcome }) => outcome)).toEqual(['rotated', 'reused', 'unknown']);
  });

  it('has one winner of many at the same moment', async () => {
    const { refresh_token } = (await redeem()).body;
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(refresh_token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(server.family().revoked).toBe(true);
  });

  it('is refused without the resource or by another client, and the token stays good', async () => {
    const { refresh_token } = (await redeem()).body;
    const stranger = await register();
    expect((await refresh(refresh_token, { resource: '' })).body).toEqual({ error: 'invalid_target' });
    expect((await refresh(refresh_token, { client_id: stranger })).body).toEqual({ error: 'invalid_grant' });
    expect((await refresh(refresh_token)).status).toBe(200);
  });

  it('accepts the predecessor once inside the grace window, and the lost successor dies', async () => {
    await server.close();
    server = await startHostileServer({ clock: { now: () => now }, graceMs: GRACE_MS });
    clientId = await register();
    const { refresh_token } = (await redeem()).body;
    const lost = (await refresh(refresh_token)).body;
    now += GRACE_MS - 1;
    const found = (await refresh(refresh_token)).body;
    expect(server.isAlive(fingerprint(lost.refresh_token))).toBe(false);
    expect(server.isAlive(fingerprint(found.refresh_token))).toBe(true);
    expect(server.isAlive(fingerprint(refresh_token))).toBe(false);
    await refresh(refresh_token);
    expect(server.family().revoked).toBe(true);
  });

  it('keeps the token where the server does not rotate', async () => {
    await server.close();
    server = await startHostileServer({ clock: { now: () => now }, rotate: false });
    clientId = await register();
    const first = (await redeem()).body;
    expect((await refresh(first.refresh_token)).body.refresh_token).toBe(first.refresh_token);
    expect(server.presentations).toMatchObject([{ outcome: 'kept' }]);
  });

  it('ends with a revocation', async () => {
    const { refresh_token } = (await redeem()).body;
    await fetch(`${server.issuer}/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: refresh_token }),
    });
    expect((await refresh(refresh_token)).body).toEqual({ error: 'invalid_grant' });
  });
});
