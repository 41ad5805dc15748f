import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import type { Fault } from '../support/fault.ts';
import { freePort } from '../support/free-port.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { beginLogin, type SignInOptions, signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

afterEach(() => world.close());

async function start(authorizationServer: AuthorizationServerOptions = {}): Promise<void> {
  world = await startWorld({ authorizationServer });
  broker = await world.openBroker();
}

const login = (options: SignInOptions = {}) =>
  signIn(broker, world.authorizationServer, world.mcp.url, options);

const refused = (options: SignInOptions = {}) =>
  expect(beginLogin(broker, world.mcp.url, options).done).rejects;

interface Asked {
  client_name: string;
  redirect_uris: [string];
}
const registrations = () => world.authorizationServer.requests.filter(isRegistration);
const isRegistration = ({ path, method }: RecordedRequest) => path === '/reg' && method === 'POST';
const wanted = () => registrations().map(({ json }) => json as Asked);

const redirectUri = ({ authorizationUrl }: { authorizationUrl: URL }) =>
  authorizationUrl.searchParams.get('redirect_uri');

const isFree = async (redirect: string) => {
  await expect(fetch(redirect)).rejects.toThrow();
};

describe('a server that refuses 127.0.0.1 in a redirect URI', () => {
  const refusal: Fault = { status: 400, body: { error: 'invalid_redirect_uri', error_description: 'no' } };
  const refuse = (...hosts: string[]) =>
    world.authorizationServer.fail((request) => {
      const uri = (request.json as Partial<Asked> | undefined)?.redirect_uris?.[0];
      return isRegistration(request) && hosts.includes(new URL(uri as string).hostname) ? refusal : undefined;
    });

  it('is asked once more, with localhost at the same port', async () => {
    await start();
    refuse('127.0.0.1');
    const signedIn = await login();
    const [first, second] = wanted().map(({ redirect_uris }) => redirect_uris[0]);
    expect(wanted()).toHaveLength(2);
    expect(second).toBe(first?.replace('127.0.0.1', 'localhost'));
    expect(redirectUri(signedIn)).toBe(second);
    expect(signedIn.page).toContain('demo is connected');
  });

  it('is not asked at the next login: what worked is remembered', async () => {
    await start();
    refuse('127.0.0.1');
    const first = await login();
    expect(redirectUri(await login())).toBe(redirectUri(first));
    expect(registrations()).toHaveLength(2);
    await broker.refresh(OPERATOR, 'demo');
  });

  it('and localhost too is told what to register, and asked no more', async () => {
    await start();
    refuse('127.0.0.1', 'localhost');
    const callbackPort = await freePort();
    await refused({ callbackPort }).toMatchObject({
      code: 'registration_refused',
      message: expect.stringContaining('400 invalid_redirect_uri "no"'),
      hint: expect.stringContaining(`http://127.0.0.1:${callbackPort}/callback`),
    });
    expect(registrations()).toHaveLength(2);
    await isFree(`http://localhost:${callbackPort}/callback`);
  });

  it('is not asked for another than the one a person wished', async () => {
    await start();
    refuse('127.0.0.1');
    const redirect = `http://127.0.0.1:${await freePort()}/mine`;
    await refused({ redirectUri: redirect }).toMatchObject({ code: 'registration_refused' });
    expect(wanted().map(({ redirect_uris }) => redirect_uris)).toEqual([[redirect]]);
    await isFree(redirect);
  });
});

describe('a server that does not register us', () => {
  it('for another reason is asked once', async () => {
    await start({ openRegistration: false });
    await refused().toMatchObject({ code: 'registration_refused' });
    expect(registrations()).toHaveLength(1);
    expect(rowsOf(world.vaultPath, 'SELECT * FROM clients')).toEqual([]);
  });

  it('because it registers nobody is not asked at all', async () => {
    const metadata = ({ registration_endpoint: _, ...document }: Record<string, unknown>) => document;
    await start({ metadata });
    await refused().toMatchObject({
      code: 'registration_refused',
      message: expect.stringContaining('does not register clients by itself'),
      hint: expect.stringMatching(/http:\/\/127\.0\.0\.1:\d+\/callback\nthen give it with --client-id/),
    });
    expect(registrations()).toEqual([]);
  });
});

describe('a server that answers with a registration of ours that has ended', () => {
  it('is asked for one that differs by its name', async () => {
    await start();
    const ended = world.clock.now() / 1000 - 1;
    world.authorizationServer.fail((request) =>
      isRegistration(request) && registrations().length === 1
        ? changeAnswer(request, (body) => ({
            ...body,
            client_secret: 'ended-secret',
            client_secret_expires_at: ended,
          }))
        : undefined,
    );
    const { events } = await login();
    const [first, second] = wanted();
    expect(second?.client_name).not.toBe(first?.client_name);
    expect(registrations()).toHaveLength(2);
    const [, made] = registrations().map(({ answer }) => answer as { client_id: string });
    expect(events[1]).toMatchObject({ event: 'registered', client_id: made?.client_id });
    await broker.refresh(OPERATOR, 'demo');
  });
});

describe('a redirect URI that a person wished', () => {
  it('on this machine is registered to the letter and listened for', async () => {
    await start();
    const wish = `http://localhost:${await freePort()}/oauth/back`;
    const signedIn = await login({ redirectUri: wish });
    expect(redirectUri(signedIn)).toBe(wish);
    expect(wanted()[0]).toMatchObject({ redirect_uris: [wish], application_type: 'native' });
    expect(signedIn.page).toContain('demo is connected');
    // Another one needs another registration.
    const other = `http://127.0.0.1:${await freePort()}/oauth/back`;
    expect(redirectUri(await login({ redirectUri: other }))).toBe(other);
    expect(registrations()).toHaveLength(2);
  });

  it('elsewhere is a web application, whose answer can only be pasted', async () => {
    await start();
    const wish = 'https://broker.example.com/callback';
    const { connected } = await login({ redirectUri: wish, by: 'paste' });
    expect(connected).toMatchObject({ connection: 'demo' });
    expect(wanted()[0]).toMatchObject({ redirect_uris: [wish], application_type: 'web' });
  });

  it('elsewhere is listened for at the port that somebody in front passes on to', async () => {
    await start();
    const callbackPort = await freePort();
    const wish = 'https://broker.example.com/callback';
    const change = (redirect: URL) => {
      redirect.href = `http://127.0.0.1:${callbackPort}${redirect.pathname}${redirect.search}`;
    };
    const { page } = await login({ redirectUri: wish, callbackPort, change });
    expect(page).toContain('demo is connected');
  });

  it.each([
    'http://broker.example.com/callback',
    'com.example:/callback',
    'http://127.0.0.1/callback',
    'rubbish',
  ])('is refused when it is %s', async (wish) => {
    await start();
    await refused({ redirectUri: wish }).toMatchObject({ code: 'usage' });
    expect(registrations()).toEqual([]);
  });
});
