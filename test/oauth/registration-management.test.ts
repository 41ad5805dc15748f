import { afterEach, describe, expect, it } from 'vitest';
import {
  deleteManaged,
  type ManagedRegistration,
  readManaged,
  renewManaged,
} from '../../src/oauth/registration-management.ts';
import { discoverServer } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import { startAuthorizationServer } from '../support/authorization-server.ts';
import { fetch, register } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;

afterEach(() => raw?.close());

/** A registration at a server that gives this answer. */
async function managedAt(answer: RawAnswer): Promise<ManagedRegistration> {
  const server = await startRawServer(() => answer);
  raw = server;
  return {
    clientId: 'fake-client',
    authMethod: 'client_secret_post',
    registrationClientUri: `${server.url}/register/1`,
    registrationAccessToken: new Secret('fake-token'),
  };
}

const readAt = async (answer: RawAnswer) => readManaged(await managedAt(answer), fetch);
const renewAt = async (answer: RawAnswer, metadata: Record<string, unknown> = {}) =>
  renewManaged(await managedAt(answer), metadata, fetch);
const deleteAt = async (answer: RawAnswer) => deleteManaged(await managedAt(answer), fetch);

const THERE = { client_id: 'fake-client', redirect_uris: ['http://127.0.0.1:29999/callback'] };

/** What both reading and renewing make of answers that bring no registration. */
const STATES: [string, 'gone' | 'unknown', RawAnswer][] = [
  ['401', 'gone', { status: 401, body: { error: 'invalid_token' } }],
  ['403', 'gone', { status: 403 }],
  ['404', 'gone', { status: 404, body: '<h1>Not found</h1>' }],
  ['410', 'gone', { status: 410 }],
  ['400', 'unknown', { status: 400, body: { error: 'invalid_request' } }],
  ['429', 'unknown', { status: 429 }],
  ['500', 'unknown', { status: 500, body: THERE }],
  ['a redirect', 'unknown', { status: 302, headers: { location: '/login' } }],
  ['a page', 'unknown', { status: 200, body: '<h1>hello</h1>' }],
  ['another client', 'unknown', { status: 200, body: { ...THERE, client_id: 'another-client' } }],
  ['no client', 'unknown', { status: 200, body: {} }],
  ['a reset', 'unknown', 'reset'],
];

describe('a real server', () => {
  it('is asked for a registration, for the same again, and to delete it', async () => {
    const server = await startAuthorizationServer();
    const metadata = await discoverServer(server.issuer, fetch);
    const registration = await register(metadata, { authMethod: 'client_secret_post' });
    const managed = registration as typeof registration & ManagedRegistration;

    const read = await readManaged(managed, fetch);
    if (read.kind !== 'there') return expect.unreachable(`it is ${read.kind}`);
    expect(read.registration.clientSecret?.reveal()).toBe(registration.clientSecret?.reveal());

    // It refuses to be sent what it issued, and issues another access token.
    const renewed = await renewManaged(managed, read.metadata, fetch);
    if (renewed.kind !== 'there') return expect.unreachable(`it is ${renewed.kind}`);
    const { registrationAccessToken } = renewed.registration;
    expect(registrationAccessToken?.reveal()).not.toBe(managed.registrationAccessToken.reveal());
    expect(await readManaged(managed, fetch)).toEqual({ kind: 'gone' });

    const current = { ...managed, registrationAccessToken } as ManagedRegistration;
    expect(await deleteManaged(current, fetch)).toBe(true);
    expect(await readManaged(current, fetch)).toEqual({ kind: 'gone' });
    await server.close();
  });
});

describe('reading a registration (RFC 7592 §2.1)', () => {
  it('tells what the server has now, whole', async () => {
    const answer = {
      ...THERE,
      client_secret: 'next-secret',
      client_secret_expires_at: 1_800_000_000,
      registration_access_token: 'next-token',
      registration_client_uri: 'https://as.example.com/register/2',
      logo_uri: 'https://as.example.com/logo',
    };
    const read = await readAt({ status: 200, body: answer });
    expect(read).toEqual({
      kind: 'there',
      metadata: answer,
      registration: {
        clientId: 'fake-client',
        authMethod: 'client_secret_post',
        clientSecret: new Secret('next-secret'),
        clientSecretExpiresAt: 1_800_000_000_000,
        registrationClientUri: 'https://as.example.com/register/2',
        registrationAccessToken: new Secret('next-token'),
      },
    });
    expect(read.kind === 'there' && read.registration.clientSecret?.reveal()).toBe('next-secret');
    expect(raw?.requests[0]).toMatchObject({ method: 'GET', path: '/register/1', body: '' });
    expect(raw?.requests[0]?.headers.authorization).toBe('Bearer fake-token');
  });

  it.each(STATES)('that is answered with %s leaves it %s', async (_, kind, answer) => {
    expect(await readAt(answer)).toEqual({ kind });
    expect(raw?.requests).toHaveLength(1);
  });
});

describe('renewing a registration (RFC 7592 §2.2)', () => {
  it('sends back what the server said, without what only the server may issue', async () => {
    const metadata = {
      ...THERE,
      client_id: 'spelled-otherwise',
      client_secret: 'fake-secret',
      client_secret_expires_at: 1_800_000_000,
      client_id_issued_at: 1_700_000_000,
      registration_access_token: 'fake-token',
      registration_client_uri: 'https://as.example.com/register/1',
      logo_uri: 'https://as.example.com/logo',
    };
    await renewAt({ status: 200, body: THERE }, metadata);
    const [request] = raw?.requests ?? [];
    expect(request).toMatchObject({ method: 'PUT', path: '/register/1' });
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      authorization: 'Bearer fake-token',
    });
    expect(JSON.parse(request?.body ?? '')).toEqual({
      ...THERE,
      client_secret: 'fake-secret',
      logo_uri: 'https://as.example.com/logo',
    });
  });

  it('brings the new secret', async () => {
    const answer = { ...THERE, client_secret: 'next-secret', client_secret_expires_at: 1_900_000_000 };
    expect(await renewAt({ status: 200, body: answer })).toMatchObject({
      kind: 'there',
      registration: { clientSecretExpiresAt: 1_900_000_000_000 },
    });
  });

  it.each(STATES)('that is answered with %s leaves it %s', async (_, kind, answer) => {
    expect(await renewAt(answer)).toEqual({ kind });
  });
});

describe('taking a registration back (RFC 7592 §2.3)', () => {
  it.each([
    [204, true],
    [200, true],
    [404, true],
    [401, false],
    [500, false],
  ])('that is answered with %i is done: %s', async (status, isDone) => {
    expect(await deleteAt({ status })).toBe(isDone);
    expect(raw?.requests[0]).toMatchObject({ method: 'DELETE', path: '/register/1' });
    expect(raw?.requests[0]?.headers.authorization).toBe('Bearer fake-token');
  });

  it('is not done when the connection breaks, and never throws', async () => {
    expect(await deleteAt('reset')).toBe(false);
  });
});

describe('the token of a registration', () => {
  it.each(['http://as.example.com/1', 'https://alice:fake@as.example.com/1', 'rubbish'])(
    'is not sent to %s',
    async (registrationClientUri) => {
      const managed = { ...(await managedAt({ status: 200 })), registrationClientUri };
      const calls: string[] = [];
      const noFetch = async (url: string) => {
        calls.push(url);
        return new Response();
      };
      expect(await readManaged(managed, noFetch)).toEqual({ kind: 'unknown' });
      expect(await renewManaged(managed, {}, noFetch)).toEqual({ kind: 'unknown' });
      expect(await deleteManaged(managed, noFetch)).toBe(false);
      expect(calls).toEqual([]);
    },
  );
});
