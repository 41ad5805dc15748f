import { describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import type { Fault, FaultRule } from '../support/fault.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { clientId, isRegistration, openRegistrationWorld } from '../support/registration-world.ts';
import { beginLogin } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';

const DAY_MS = 24 * 60 * 60_000;

const { world, broker, start, login, asked, names } = openRegistrationWorld();

/** Applies to requests about registrations only. */
const fail = (rule: (request: RecordedRequest) => Fault | undefined): void =>
  world().authorizationServer.fail(((request) =>
    isRegistration(request) ? rule(request) : undefined) satisfies FaultRule);

/** What the server says of a registration from now on. */
const answerAbout = (change: (body: Record<string, unknown>, method: string) => Record<string, unknown>) =>
  fail((request) => changeAnswer(request, (body) => change(body, request.method)));

/** Where a registration can be managed, as the server answered it. */
interface Registered {
  registration_client_uri: string;
  registration_access_token: string;
}

interface ClientRow {
  client_id: string;
  client_secret_expires_at: number | null;
}
const clients = () =>
  rowsOf<ClientRow>(world().vaultPath, 'SELECT * FROM clients ORDER BY created_at, rowid');

/** Servers that offer nothing else make a client with a secret of us. */
const wantingSecrets: AuthorizationServerOptions = {
  metadata: (document) => ({ ...document, token_endpoint_auth_methods_supported: ['client_secret_post'] }),
};

describe('a registration that the server lets us read (RFC 7592)', () => {
  it('is made anew when it is gone, before the person is sent to a page that says so', async () => {
    await start();
    const first = await login();
    const [made] = asked('POST').map(({ answer }) => answer as Registered);
    await fetch(made?.registration_client_uri ?? '', {
      method: 'DELETE',
      headers: { authorization: `Bearer ${made?.registration_access_token}` },
    });
    const second = await login();
    expect(clientId(second)).not.toBe(clientId(first));
    expect(asked('GET')).toHaveLength(1);
    expect(asked('POST')).toHaveLength(2);
    expect(connectionRow(world().vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
  });

  it.each<[string, Fault]>([
    ['is out of order', { status: 500 }],
    ['cuts the connection', { destroyBefore: true }],
    ['answers a page', { status: 200, body: '<h1>hello</h1>' }],
    ['speaks of another client', { status: 200, body: { client_id: 'another-client' } }],
  ])('is used as it is when the server %s', async (_, fault) => {
    await start();
    const first = await login();
    fail(({ method }) => (method === 'GET' ? fault : undefined));
    expect(clientId(await login())).toBe(clientId(first));
    expect(asked('GET')).toHaveLength(1);
    expect(asked('POST')).toHaveLength(1);
  });

  it('is not read when another client is used', async () => {
    await start({
      clients: [{ client_id: 'configured-client', redirect_uris: ['http://127.0.0.1:1/callback'] }],
    });
    await login();
    const waiting = beginLogin(broker(), world().mcp.url, { clientId: 'configured-client' });
    await waiting.authorizationUrl;
    waiting.abort();
    await expect(waiting.done).rejects.toMatchObject({ code: 'interrupted' });
    expect(asked('GET')).toEqual([]);
  });

  it('keeps what the server does not read back: a secret and its end, and how we authenticate', async () => {
    await start(wantingSecrets);
    const ends = world().clock.now() + 100 * DAY_MS;
    answerAbout(({ client_secret, ...body }, method) => ({
      ...body,
      ...(method === 'POST' ? { client_secret } : {}),
      token_endpoint_auth_method: 'none',
      client_secret_expires_at: ends / 1000,
    }));
    await login();
    const known = { auth_method: 'client_secret_post', client_secret_expires_at: ends };
    expect(clients()).toMatchObject([known]);
    const waiting = beginLogin(broker(), world().mcp.url);
    await waiting.authorizationUrl;
    expect(asked('GET')).toHaveLength(1);
    expect(clients()).toMatchObject([known]);
    waiting.abort();
    await expect(waiting.done).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('brings what the server has issued since', async () => {
    await start(wantingSecrets);
    await login();
    const ends = world().clock.now() + 100 * DAY_MS;
    answerAbout((body) => ({ ...body, client_secret_expires_at: ends / 1000 }));
    await login();
    expect(clients()).toMatchObject([{ client_secret_expires_at: ends }]);
    await broker().refresh(OPERATOR, 'demo');
  });
});

describe('a registration whose secret ends', () => {
  /** The server says so in each answer about it, until it is renewed. */
  function ending(days: number, renewedDays?: number): void {
    const at = (each: number) => (world().clock.now() + each * DAY_MS) / 1000;
    const [ends, renewed] = [at(days), renewedDays === undefined ? undefined : at(renewedDays)];
    answerAbout((body, method) => ({
      ...body,
      client_secret_expires_at: method === 'PUT' || asked('PUT').length > 0 ? (renewed ?? ends) : ends,
    }));
  }

  it('within 30 days is renewed where the server offers that', async () => {
    await start(wantingSecrets);
    ending(29, 180);
    const first = await login();
    expect(clientId(await login())).toBe(clientId(first));
    expect(asked('PUT')).toMatchObject([{ status: 200 }]);
    expect(asked('POST')).toHaveLength(1);
    expect(clients()).toMatchObject([{ client_secret_expires_at: world().clock.now() + 180 * DAY_MS }]);
    // The renewal came with another access token for the registration, which was kept.
    expect(clientId(await login())).toBe(clientId(first));
    expect(asked('GET').at(-1)).toMatchObject({ status: 200 });
    expect(asked('PUT')).toHaveLength(1);
    await broker().refresh(OPERATOR, 'demo');
  });

  it.each<[string, (request: RecordedRequest) => Fault | undefined]>([
    ['does not renew it', ({ method }) => (method === 'PUT' ? { status: 400 } : undefined)],
    ['renews everything but the end', () => undefined],
  ])('within 30 days is made anew when the server %s', async (_, refuse) => {
    await start(wantingSecrets);
    const ends = (world().clock.now() + 29 * DAY_MS) / 1000;
    const says = (request: RecordedRequest) =>
      changeAnswer(request, (body) => ({ ...body, client_secret_expires_at: ends }));
    fail((request) => refuse(request) ?? says(request));
    const first = await login();
    expect(clientId(await login())).not.toBe(clientId(first));
    expect(asked('PUT')).toHaveLength(1);
    expect(asked('POST')).toHaveLength(2);
    expect(names()[1]).not.toBe(names()[0]);
  });

  it('later than in 30 days is left alone', async () => {
    await start(wantingSecrets);
    ending(31);
    const first = await login();
    expect(clientId(await login())).toBe(clientId(first));
    expect(asked('PUT')).toEqual([]);
  });

  it.each([
    [29, 2],
    [31, 1],
  ])('in %i days, where it cannot be read, takes %i registrations for two logins', async (days, count) => {
    await start(wantingSecrets);
    const ends = (world().clock.now() + days * DAY_MS) / 1000;
    answerAbout(({ registration_client_uri: _uri, registration_access_token: _token, ...body }) => ({
      ...body,
      client_secret_expires_at: ends,
    }));
    await login();
    await login();
    expect(asked('POST')).toHaveLength(count);
    expect(asked('GET')).toEqual([]);
  });
});
