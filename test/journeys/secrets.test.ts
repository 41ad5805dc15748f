import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';

const isLinux = existsSync('/proc/self/environ');

let journey: Journey;
/** Every secret that was ever issued or sent, and what it is. */
let secrets: Map<string, string>;
/** Places where none of them may be: a name, and the bytes there. */
const places = new Map<string, string>();

/** Finds a secret as it is, or as it looks inside a URL or in base64. */
function spellings(secret: string): string[] {
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  return [secret, encodeURIComponent(secret), base64];
}

/** A whole story with everything that can go wrong in it, as talkative as possible. */
beforeAll(async () => {
  const metadata = (document: Record<string, unknown>) => ({
    ...document,
    token_endpoint_auth_methods_supported: ['client_secret_post'],
  });
  journey = await startJourney({ authorizationServer: { metadata } });
  const { authorizationServer, mcp, home } = journey;
  const loud = ['--log-level', 'debug'];

  // A login, one that is denied, and one whose code is refused.
  const logins = [
    await journey.login({ args: loud }),
    await journey.login({ args: loud, deny: true }),
    await journey.login({
      args: [...loud, '--scope', 'openid email mcp:all', '--account', 'bob'],
      person: 'bob',
    }),
  ];
  authorizationServer.fail(({ grantType }) =>
    grantType === 'authorization_code' ? { status: 400, body: { error: 'invalid_grant' } } : undefined,
  );
  logins.push(await journey.login({ args: loud }));
  authorizationServer.fail(undefined);
  expect(logins.map(({ code }) => code)).toEqual([0, 2, 0, 2]);
  logins.forEach(({ stdout, stderr, page }, index) => {
    // The link holds the challenge and the state, which are not secrets of ours; the code comes later.
    places.set(`login ${index}`, stdout + stderr + page);
  });

  // An agent with the daemon: fresh tokens, refusals, refreshes that work and that fail in every way.
  const added = await journey.run([...loud, 'agent', 'add', 'docs-bot', '--allow', 'demo']);
  const key = added.stdout.trim();
  places.set('agent add, stderr', added.stderr);
  const daemon = await journey.serve(loud);
  const headers = { authorization: `Bearer ${key}` };
  const get = (path: string) => call(`${daemon.url}/v1/connections${path}`, { headers });
  for (const path of ['/demo/token', '/demo/headers']) expect((await get(path)).status).toBe(200);
  for (const fault of [
    { status: 503 },
    { status: 500, body: { error: 'server_error' }, afterProcessing: false },
    { status: 400, body: { error: 'invalid_target', error_description: 'words of the server' } },
    undefined,
  ]) {
    authorizationServer.fail(({ grantType }) => (grantType === 'refresh_token' ? fault : undefined));
    const refreshed = await journey.run([...loud, 'refresh', 'demo', '--json']);
    expect(refreshed.code === 0).toBe(fault === undefined);
    places.set(`refresh under ${fault?.status}`, refreshed.stdout + refreshed.stderr);
    const check = await call(`${daemon.url}/v1/connections/demo/check`, {
      method: 'POST',
      headers,
      body: { refresh: true },
    });
    places.set(`check under ${fault?.status}`, check.text);
  }
  for (const path of ['', '/demo', '/nothing/token', '/demo@bob/token', '/demo/nonsense'])
    places.set(`GET ${path}`, (await get(path)).text);
  const query = `${daemon.url}/v1/connections/demo/token?access_token=${key}`;
  places.set('a key in the query', (await call(query)).text);

  // What a person looks at, and what an agent's shell does.
  for (const args of [
    ['list'],
    ['list', '--json'],
    ['show', 'demo'],
    ['show', 'demo', '--json'],
    ['check', '--json'],
    ['agent', 'list', '--json'],
  ]) {
    const { stdout, stderr } = await journey.run([...loud, ...args]);
    places.set(args.join(' '), stdout + stderr);
  }
  const env = { BROKER_AGENT_KEY: key, BROKER_URL: daemon.url };
  places.set('token, stderr', (await journey.run([...loud, 'token', 'demo'], { env })).stderr);
  expect(await call(`${mcp.url}`, { method: 'POST' })).toMatchObject({ status: 401 });

  // The daemon from outside, then all it printed and all it left on disk.
  if (isLinux) {
    for (const file of ['cmdline', 'environ'])
      places.set(
        `/proc of the daemon: ${file}`,
        readFileSync(`/proc/${daemon.process.process.pid}/${file}`, 'latin1'),
      );
  }
  const readVault = (when: string) => {
    for (const file of readdirSync(home.env.BROKER_HOME as string))
      places.set(`${file} ${when}`, readFileSync(join(home.env.BROKER_HOME as string, file), 'latin1'));
  };
  readVault('while the daemon runs');
  expect(await daemon.process.stop()).toBe(0);
  places.set('the daemon', daemon.process.stdout() + daemon.process.stderr());
  readVault('after the daemon has stopped');
  const logout = await journey.run([...loud, 'logout', 'demo', '--json']);
  places.set('logout', logout.stdout + logout.stderr);

  secrets = secretsSeenBy(authorizationServer);
  secrets.set(key, 'agent key');
});

afterAll(() => journey.close());

describe('after a whole story at log level debug', () => {
  it('every kind of secret was there to be leaked', () => {
    expect(new Set(secrets.values())).toEqual(
      new Set([
        'access_token',
        'refresh_token',
        'id_token',
        'code',
        'code_verifier',
        'client_secret',
        'registration_access_token',
        'agent key',
      ]),
    );
    expect(secrets.size).toBeGreaterThan(15);
    expect([...places.keys()].some((name) => name.startsWith('broker.db-wal'))).toBe(true);
    expect(places.get('the daemon')).toContain('"level":"info"');
  });

  it('none of them is in any output, in any answer that is not theirs, in the vault’s files or in /proc', () => {
    const found: string[] = [];
    for (const [place, bytes] of places) {
      for (const [secret, kind] of secrets) {
        if (spellings(secret).some((each) => bytes.includes(each))) found.push(`${kind} in ${place}`);
      }
    }
    expect(found).toEqual([]);
  });

  it('the search would find one', () => {
    const [secret = ''] = secrets.keys();
    expect(spellings(secret).some((each) => `x${secret}y`.includes(each))).toBe(true);
  });

  it('files are for their owner alone', () => {
    const { BROKER_HOME = '', XDG_CONFIG_HOME = '' } = journey.home.env;
    const configDirectory = join(XDG_CONFIG_HOME, 'mcp-token-broker');
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    for (const directory of [BROKER_HOME, configDirectory]) {
      expect([directory, mode(directory)]).toEqual([directory, '700']);
      for (const file of readdirSync(directory))
        expect([file, mode(join(directory, file))]).toEqual([file, '600']);
    }
  });

  it('the master key lies apart from the data', () => {
    const data = readdirSync(journey.home.env.BROKER_HOME as string, { recursive: true, encoding: 'utf8' });
    expect(data.filter((name) => name.includes('key'))).toEqual([]);
    const key = readFileSync(
      join(journey.home.env.XDG_CONFIG_HOME as string, 'mcp-token-broker', 'master.key'),
    );
    for (const [place, bytes] of places) expect(bytes.includes(key.toString().trim()), place).toBe(false);
  });
});
