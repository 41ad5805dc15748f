/** Users sign in once with their company; an internal server is called as the user it is called for. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { type IdentityWorld, startIdentityWorld } from '../support/identity-world.ts';
import { expectFailure } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';

let world: IdentityWorld;

afterEach(() => world.close());

async function start(options: AuthorizationServerOptions = {}): Promise<void> {
  world = await startIdentityWorld(options);
  const { code, stderr } = await world.signIn('alice');
  expect(code, stderr).toBe(0);
}

const run = (...args: string[]) => world.journey.run(args);
const addInternal = (...more: string[]) =>
  run('add', 'internal', '--url', world.internal.url, '--identity', 'corp', ...more);

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** A daemon, and an agent that is allowed `internal@*` and nothing else. */
async function agent(): Promise<(path?: string) => Promise<CallAnswer>> {
  const key = (await output('agent', 'add', 'docs-bot', '--allow', 'internal@*')).trim();
  const { url } = await world.journey.serve();
  const headers = { authorization: `Bearer ${key}` };
  return (path = '') => call(`${url}/v1/connections${path}`, { headers });
}

const whoami = (token: unknown) => callTool(world.internal.url, String(token), 'whoami');
const refreshes = () => world.journey.authorizationServer.refreshes();

describe('broker login at an OpenID provider', () => {
  it('keeps who alice is, for no resource in particular', async () => {
    await start();
    expect(JSON.parse(await output('show', 'corp@alice', '--json'))).toMatchObject({
      ...{ kind: 'oauth', state: 'ok', account: 'alice@example.com', issuer: world.corp },
      resource_parameter: 'omit',
    });
    const asked = world.journey.authorizationServer.requests;
    const { form } = asked.find(({ grantType }) => grantType === 'authorization_code') ?? {};
    expect(form).not.toHaveProperty('resource');
  });
});

describe('whom an identity belongs to', () => {
  it('is told at the login, listed and shown, also where only the userinfo endpoint names it', async () => {
    world = await startIdentityWorld({ namesAtUserinfo: true });
    const signedIn = await world.signIn('alice');
    const connected = signedIn.stdout.split('\n').find((line) => line.includes('"connected"')) ?? '{}';
    expect(JSON.parse(connected)).toMatchObject({ account: 'alice@example.com' });
    await addInternal('--exchange');
    await output('token', 'internal@alice');
    const listed = await output('list');
    expect(listed).toMatch(/^corp@alice .+ alice@example\.com /m);
    expect(listed).toMatch(/^internal@alice .+ alice@example\.com/m);
    expect(await output('show', 'internal@alice')).toMatch(/^account +alice@example\.com$/m);
  });

  it('is demanded, and another one is refused with nothing stored, whoever tells it', async () => {
    world = await startIdentityWorld({ namesAtUserinfo: true });
    const refused = await world.signIn('mallory', ['--expect-account', 'alice@example.com']);
    expect(refused.code).toBe(2);
    expect(refused.stdout).toContain('"code":"account_mismatch"');
    expect(await output('list', '--json')).toBe('[]\n');
    expect((await world.signIn('alice', ['--expect-account', 'alice@example.com'])).code).toBe(0);
  });
});

describe('a server of identities, forwarded', () => {
  it('takes alice’s own token, is listed with her name, and agents never see her login', async () => {
    await start();
    const added = await addInternal('--forward');
    expect(added).toMatchObject({ code: 0, stdout: '' });
    expect(added.stderr).toMatch(/internal is made from the logins at corp$/m);
    expect(added.stderr).toMatch(/note: their access tokens are sent there as they are, although/);
    expect(added.stderr).toMatch(/^ {2}internal@alice$/m);
    expect(added.stderr).toMatch(/--allow 'internal@\*'\n$/);
    const ask = await agent();
    const { json } = await ask('/internal@alice/token');
    expect(json).toMatchObject({ connection: 'internal@alice', resource: world.internal.url });
    expect(await whoami(json.access_token)).toBe('alice');
    expect((await ask('/internal@alice/headers')).json).toEqual({
      Authorization: `Bearer ${String(json.access_token)}`,
    });
    const { connections } = (await ask()).json as { connections: { name: string }[] };
    expect(connections.map(({ name }) => name)).toEqual(['internal@alice']);
    expect(await ask('/corp@alice/token')).toMatchObject({ status: 404, json: { code: 'not_found' } });
    expect(await ask('/corp@alice')).toMatchObject({ status: 404 });
  });

  it('refuses bob, who has not signed in, and names his login', async () => {
    await start();
    await addInternal('--forward');
    const ask = await agent();
    for (const path of ['/internal@bob/token', '/internal@bob/headers']) {
      const { status, json } = await ask(path);
      expect({ status, json }).toMatchObject({
        status: 409,
        json: { code: 'login_required', next_step: 'broker login corp@bob' },
      });
    }
    expectFailure(await run('token', 'internal@bob'), 2, /internal@bob needs the identity corp@bob/);
    expect((await world.signIn('bob')).code).toBe(0);
    expect(await whoami((await ask('/internal@bob/token')).json.access_token)).toBe('bob');
    expect(await whoami((await ask('/internal@alice/token')).json.access_token)).toBe('alice');
  });

  it('refreshes a token that is about to end first', async () => {
    await start({ accessTokenSeconds: 2 });
    await addInternal('--forward');
    const ask = await agent();
    const first = await ask('/internal@alice/token');
    let next = first;
    while (next.json.generation === first.json.generation) next = await ask('/internal@alice/token');
    expect(next.status).toBe(200);
    expect(refreshes()).toBeGreaterThan(0);
    expect(await whoami(next.json.access_token)).toBe('alice');
  });
});

describe('a server of identities, exchanged', () => {
  it('gets a token of its own for alice, once for all who ask together, and nothing is in clear', async () => {
    await start();
    expect((await addInternal('--exchange')).code).toBe(0);
    const ask = await agent();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask('/internal@alice/token')));
    expect(answers.map(({ status, json }) => [status, json.access_token])).toEqual(
      Array.from({ length: 8 }, () => [200, 'fake-exchanged-1']),
    );
    expect(await whoami('fake-exchanged-1')).toBe('alice');
    expect(world.exchange.exchanges).toMatchObject([
      {
        resource: world.internal.url,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      },
    ]);
    const vault = world.journey.home.env.BROKER_HOME as string;
    const files = readdirSync(vault).map((name) => readFileSync(join(vault, name), 'latin1'));
    const secrets = [...secretsSeenBy(world.journey.authorizationServer).keys(), 'fake-exchanged-1'];
    expect(secrets.length).toBeGreaterThan(3);
    expect(secrets.filter((secret) => files.some((text) => text.includes(secret)))).toEqual([]);
  });

  it('refuses bob without asking anybody', async () => {
    await start();
    await addInternal('--exchange');
    const ask = await agent();
    expect(await ask('/internal@bob/token')).toMatchObject({
      status: 409,
      json: { code: 'login_required', next_step: 'broker login corp@bob' },
    });
    expect(world.exchange.exchanges).toEqual([]);
  });
});

describe('broker add --identity refuses', () => {
  it('what cannot be, with exit code 64', async () => {
    await start();
    expectFailure(await addInternal(), 64, /say what becomes of the users’ tokens$/);
    expectFailure(await addInternal('--forward', '--exchange'), 64, /say what becomes of the users’ tokens$/);
    expectFailure(await addInternal('--forward', '--client-id', 'x'), 64, /needs no client$/);
    const needless = await addInternal('--exchange', '--issuer', world.corp, '--no-resource');
    expectFailure(
      needless,
      64,
      /^error: --issuer goes with a machine’s own credentials, not with the identity of users$/,
    );
    const { url } = world.internal;
    const nobody = ['add', 'internal', '--url', url, '--identity', 'nobody', '--forward'];
    expectFailure(await run(...nobody), 64, /there are no identities called "nobody"$/);
    const account = ['add', 'internal@alice', '--url', url, '--identity', 'corp', '--forward'];
    expectFailure(await run(...account), 64, /internal@alice names an account/);
  });
});

describe('broker logout of a server of identities', () => {
  it('says which connections are gone, and that the logins stay', async () => {
    await start();
    await addInternal('--forward');
    const made = await run('logout', 'internal@alice');
    expectFailure(made, 64, /internal@alice is made from the login corp@alice/);
    expect(made.stderr).toContain('to give up internal for all its users: broker logout internal');
    const { code, stderr } = await run('logout', 'internal');
    expect({ code, stderr }).toMatchObject({
      ...{
        code: 0,
        stderr: expect.stringMatching(
          /internal is forgotten here\n {2}gone with it: internal@alice; the logins/,
        ),
      },
    });
    expect(stderr).not.toMatch(/revo/);
    expect(JSON.parse(await output('list', '--json'))).toMatchObject([{ name: 'corp@alice', state: 'ok' }]);
    expectFailure(await run('logout', 'internal'), 2, /there is no connection internal$/);
  });

  it('--json names them too', async () => {
    await start();
    await addInternal('--exchange');
    await output('token', 'internal@alice');
    expect(JSON.parse(await output('logout', 'internal', '--json'))).toEqual({
      ...{ connection: 'internal', revocation: 'revoked', gone: ['internal@alice'] },
    });
  });
});
