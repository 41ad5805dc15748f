import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { MACHINE_KEY, MACHINE_SECRET, withMachines } from '../support/machine-client.ts';
import { type MachineServer, startMachineServer } from '../support/machine-server.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';
import { rowsOf } from '../support/vault-file.ts';

let journey: Journey;
let secretFile: string;

beforeEach(async () => {
  journey = await startJourney({ authorizationServer: withMachines() });
  secretFile = write('secret', `${MACHINE_SECRET}\n`);
});

afterEach(() => journey.close());

function write(name: string, text: string): string {
  const path = join(journey.home.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Agrees on keys, and signs nothing. */
const ENCRYPTION_KEY = generateKeyPairSync('x25519').privateKey.export({
  format: 'pem',
  type: 'pkcs8',
}) as string;

const BY_BASIC = ['--client-credentials', '--client-id', 'by-basic', '--auth-method', 'client_secret_basic'];
const addArguments = (...more: string[]) => ['add', 'demo', '--url', journey.mcp.url, ...more];
const add = (...more: string[]) =>
  journey.run(addArguments(...BY_BASIC, '--client-secret-file', secretFile, ...more));

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Hands the token of `demo` to a new agent, over HTTP. */
async function tokenForAgent(args: string[] = []): Promise<Record<string, unknown>> {
  const key = await journey.addAgent('docs-bot', 'demo');
  const { url } = await journey.serve(args);
  const headers = { authorization: `Bearer ${key}` };
  const answer = await call(`${url}/v1/connections/demo/token`, { headers });
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

describe('broker add with client credentials', () => {
  it('says what it did and what is next, and an agent gets a token that works', async () => {
    const added = await add();
    expect(added).toMatchObject({ code: 0, stdout: '' });
    expect(added.stderr).toMatch(
      /demo is added, and its first token is here\n\nnext: broker agent add <name> --allow demo\n$/,
    );
    const { access_token, resource, warnings } = await tokenForAgent();
    expect({ resource, warnings }).toEqual({ resource: journey.mcp.url, warnings: undefined });
    expect(await journey.authorizationServer.tokenIsActive(String(access_token))).toMatchObject({
      ...{ active: true, aud: journey.mcp.url, client_id: 'by-basic' },
    });
  });

  it('takes the secret from stdin, and a key in place of a secret', async () => {
    const piped = addArguments(...BY_BASIC, '--client-secret-file', '-', '--json');
    const first = await journey.run(piped, { input: MACHINE_SECRET });
    expect(JSON.parse(first.stdout)).toMatchObject({ name: 'demo', state: 'ok', client_id: 'by-basic' });
    const key = write('key.pem', MACHINE_KEY);
    const keyed = ['--client-credentials', '--client-id', 'by-key', '--client-key-file', key, '--json'];
    expect(JSON.parse(await output(...addArguments(...keyed)))).toMatchObject({
      ...{ client_id: 'by-key', auth_method: 'private_key_jwt', generation: 4 },
    });
  });

  it('is shown, checked and refreshed without a word of signing in or of a refresh token that is missing', async () => {
    await add();
    expect(await output('list')).toMatch(/^demo +ok +\S+ \S+ \S* *by the broker/m);
    const shown = await output('show', 'demo');
    expect(shown).toMatch(/^refresh token +not needed$/m);
    expect(shown).toMatch(/^tokens by +client credentials$/m);
    expect(await output('check')).toBe('');
    expect(await output('check', '--refresh')).toBe('');
    const refreshed = await journey.run(['refresh', 'demo']);
    expect(refreshed.stderr).toMatch(/demo has a new token; it ends in/);
    const token = await journey.run(['token', 'demo']);
    expect(token).toMatchObject({ code: 0 });
    expect(shown + refreshed.stderr + token.stderr).not.toMatch(/sign|login/i);
  });

  it('is forgotten by a logout, its secret too', async () => {
    await add();
    const { code, stderr } = await journey.run(['logout', 'demo']);
    expect({ code, stderr }).toMatchObject({
      ...{ code: 0, stderr: expect.stringMatching(/its tokens were revoked at the server/) },
    });
    expect(await output('list', '--json')).toBe('[]\n');
    expect(rowsOf(journey.vaultPath, 'SELECT id FROM clients')).toEqual([]);
  });

  it('with a wrong secret exits 2, and the same command with the right one mends it', async () => {
    const wrong = write('wrong', 'fake-wrong-secret');
    const refused = await journey.run(addArguments(...BY_BASIC, '--client-secret-file', wrong));
    expectFailure(refused, 2, /the server refused our client \(invalid_client\)$/);
    expect(refused.stderr).toContain('→ broker refresh demo\n');
    expect(refused.stderr).not.toContain('login');
    const check = await journey.run(['check']);
    expect(check.code).toBe(2);
    expect(check.stdout).toMatch(/^act +demo: client_invalid: .+ → broker refresh demo$/m);
    expect((await add()).code).toBe(0);
    expect(await output('check')).toBe('');
  });

  it('leaves no secret in any output, in argv or in the files of the vault', async () => {
    const loud = ['--log-level', 'debug'];
    await tokenForAfter(loud);
    for (const args of [['list'], ['show', 'demo', '--json'], ['check', '--json'], ['refresh', 'demo']])
      await journey.run([...loud, ...args]);
    const secrets = new Map([...secretsSeenBy(journey.authorizationServer), [MACHINE_SECRET, 'given']]);
    // In HTTP Basic it travels like this.
    secrets.set(Buffer.from(`by-basic:${MACHINE_SECRET}`).toString('base64'), 'Basic');
    const vault = journey.home.env.BROKER_HOME as string;
    const places = new Map(
      readdirSync(vault).map((name) => [name, readFileSync(join(vault, name), 'latin1')]),
    );
    for (const { args, process } of journey.processes)
      places.set(args.join(' '), args.join(' ') + process.stderr() + process.stdout());
    const found = [...places].flatMap(([place, text]) =>
      [...secrets].filter(([secret]) => text.includes(secret)).map(([, kind]) => `${kind} in ${place}`),
    );
    expect(found).toEqual([]);
    expect(secrets.size).toBeGreaterThan(2);
    expect(places.size).toBeGreaterThan(3);
  });

  const tokenForAfter = async (loud: string[]) => {
    const process = journey.start(
      addArguments(...BY_BASIC, '--client-secret-file', secretFile, ...loud, '--json'),
    );
    expect(await process.exited).toBe(0);
    await tokenForAgent(loud);
  };
});

describe('broker add with a workload identity', () => {
  let server: MachineServer;
  beforeEach(async () => {
    server = await startMachineServer();
  });
  afterEach(() => server.close());

  it('keeps the whole path of the token file: a daemon has another working directory', async () => {
    const file = relative(process.cwd(), write('platform-token', 'fake.platform.token'));
    const added = await output('add', 'demo', '--url', server.mcp, '--workload-token-file', file, '--json');
    expect(JSON.parse(added)).toMatchObject({
      grant: `workload identity from ${join(journey.home.path, 'platform-token')}`,
    });
    expect(await tokenForAgent()).toMatchObject({ access_token: 'fake-access-1' });
    expect(server.asked.map(({ form }) => form.assertion)).toEqual(['fake.platform.token']);
  });

  it('that is refused says so after one request', async () => {
    server.answer(() => ({ status: 400, body: { error: 'invalid_grant' } }));
    const file = write('platform-token', 'fake.platform.token');
    const refused = await journey.run(['add', 'demo', '--url', server.mcp, '--workload-token-file', file]);
    expectFailure(refused, 2, /demo cannot be refreshed: the server refused the request \(invalid_grant\)$/);
    expect(refused.stderr).not.toMatch(/login/);
    expect(server.asked).toHaveLength(1);
  });
});

describe('broker add refuses', () => {
  const SECRET = ['--client-secret-file', 'secret'];
  const ID = ['--client-id', 'x'];
  const WORKLOAD = ['--workload-token-file', '/nothing'];
  const IDENTITY = ['--identity-token-file', '/nothing'];

  it.each<[string, string[], RegExp]>([
    ['no way at all', [], /say in one way how the connection gets its tokens/],
    ['two ways', ['--client-credentials', ...WORKLOAD], /say in one way/],
    ['a machine without a client', ['--client-credentials', ...SECRET], /the OAuth client is missing/],
    ['a client with nothing to show', ['--client-credentials', ...ID], /what the client shows is missing/],
    [
      'a secret and a key',
      ['--client-credentials', ...ID, ...SECRET, '--client-key-file', 'key'],
      /one secret or one key, not both/,
    ],
    ['a secret of nobody', [...WORKLOAD, ...SECRET], /the OAuth client is missing/],
    ['a manner of nobody', [...WORKLOAD, '--auth-method', 'none'], /the OAuth client is missing/],
    ['a token file that is stdin', ['--workload-token-file', '-'], /cannot come from stdin/],
    [
      'an identity provider without a token',
      [...WORKLOAD, '--identity-issuer', 'x'],
      /only with an ID token/,
    ],
    ['an ID token of nobody', [...ID, ...IDENTITY], /the identity provider is missing/],
    [
      'an identity provider that does not know us',
      [...ID, ...IDENTITY, '--identity-issuer', 'https://idp.example.com'],
      /our client at the identity provider is missing/,
    ],
    ['a flag nobody knows', ['--client-credentails'], /unknown option '--client-credentails'/],
    ['a manner nobody knows', [...WORKLOAD, '--auth-method', 'magic'], /'magic' is invalid/],
  ])('%s, with exit code 64 and what to do, and makes no vault', async (_, args, message) => {
    const refused = await journey.run(addArguments(...args));
    expect(refused, refused.stderr).toMatchObject({ code: 64, stdout: '' });
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr.trimEnd().split('\n').length).toBeGreaterThan(1);
    expect(readdirSync(journey.home.path)).not.toContain('vault');
  });

  it('a connection without an address', async () => {
    const refused = await journey.run(['add', 'demo', '--workload-token-file', write('t', 'fake.token')]);
    expectFailure(refused, 64, /the URL of the MCP server is missing$/);
  });

  it('an address that others on the way could listen to', async () => {
    const workload = ['--workload-token-file', write('t', 'fake.token')];
    const clear = ['add', 'demo', '--url', 'http://mcp.example.com/mcp', ...workload];
    expectFailure(await journey.run(clear), 64, /is not encrypted$/);
  });

  it.each<[string, () => string[], RegExp]>([
    ['a token file that is not there', () => WORKLOAD, /\/nothing cannot be read \(ENOENT\)$/],
    ['a token file that is a directory', () => ['--workload-token-file', journey.home.path], /is no file$/],
    ['an empty token file', () => ['--workload-token-file', write('t', ' \n')], /holds no secret$/],
    [
      'a token file with more than a token',
      () => ['--workload-token-file', write('t', 'a b')],
      /holds more than a token$/,
    ],
    [
      'an ID token file that is not there',
      () => [
        ...ID,
        ...IDENTITY,
        '--identity-issuer',
        'https://idp.example.com',
        '--identity-client-id',
        'us',
      ],
      /\/nothing cannot be read/,
    ],
    [
      'an issuer that is none',
      () => [
        ...ID,
        '--identity-token-file',
        write('t', 'fake'),
        '--identity-issuer',
        'idp',
        '--identity-client-id',
        'us',
      ],
      /"idp" is no issuer$/,
    ],
    [
      'a key that is none',
      () => ['--client-credentials', ...ID, '--client-key-file', write('k', 'fake key')],
      /the private key of the client cannot be used/,
    ],
    [
      'a key of an algorithm that cannot sign',
      () => ['--client-credentials', ...ID, '--client-key-file', write('k', ENCRYPTION_KEY)],
      /only RSA, EC \(P-256, P-384, P-521\) and Ed25519 keys can sign$/,
    ],
    [
      'a manner without what it shows',
      () => [
        '--client-credentials',
        ...ID,
        '--client-secret-file',
        secretFile,
        '--auth-method',
        'private_key_jwt',
      ],
      /has no key, but must use private_key_jwt$/,
    ],
    [
      'an authorization server that is none',
      () => ['--client-credentials', ...ID, '--client-secret-file', secretFile, '--issuer', 'idp'],
      /"idp" is no issuer$/,
    ],
    [
      'an end',
      () => ['--client-credentials', '--expires', '9d'],
      /--expires goes with what is entered by hand/,
    ],
  ])('%s, with exit code 64, and makes no vault and no key', async (_, args, message) => {
    expectFailure(await journey.run(addArguments(...args())), 64, message);
    const { BROKER_HOME = '', XDG_CONFIG_HOME = '' } = journey.home.env;
    expect(
      [BROKER_HOME, XDG_CONFIG_HOME].filter((each) => existsSync(each)).flatMap((each) => readdirSync(each)),
    ).toEqual([]);
    expect(journey.authorizationServer.requests).toEqual([]);
  });

  it('a server that cannot be found, and makes no vault and no key', async () => {
    await journey.authorizationServer.setListening(false);
    expectFailure(await add(), 75, /.+/);
    const { BROKER_HOME = '', XDG_CONFIG_HOME = '' } = journey.home.env;
    expect(existsSync(BROKER_HOME)).toBe(false);
    expect(readdirSync(XDG_CONFIG_HOME)).toEqual([]);
  });
});
