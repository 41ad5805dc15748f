import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BrokerResult, runBroker, startBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';

let home: Home;

const place = (name: string) => join(home.path, name);

function configFile(content: unknown, path = place('config.json')): string {
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** The environment of a fresh home, without `BROKER_HOME`, changed as the test wants. */
function environment(changes: Record<string, string> = {}): Record<string, string> {
  const { BROKER_HOME: _, ...env } = home.env;
  return { ...env, ...changes };
}

const run = (args: string[], env: Record<string, string> = {}): Promise<BrokerResult> =>
  runBroker(args, { env: environment(env) });

/** Where the program looks for its vault: told by the error that there is none. */
async function vaultOf(args: string[], env: Record<string, string> = {}): Promise<string | undefined> {
  const { code, stderr } = await run([...args, 'token', 'demo'], env);
  expect([code, stderr]).toEqual([3, expect.stringContaining('there is no vault at')]);
  return /no vault at (\S+)/.exec(stderr)?.[1];
}

beforeEach(async () => {
  home = await createHome();
});

afterEach(() => home.remove());

describe('a setting', () => {
  it('comes from the command line, then the environment, then the config file, then the default', async () => {
    const config = configFile({ home: place('by-file') });
    const BROKER_HOME = place('by-environment');
    const flag = ['--home', place('by-flag')];
    expect(
      await Promise.all([
        vaultOf([...flag, '--config', config], { BROKER_HOME }),
        vaultOf(['--config', config], { BROKER_HOME }),
        vaultOf(['--config', config]),
        vaultOf([]),
      ]),
    ).toEqual([
      join(place('by-flag'), 'broker.db'),
      join(BROKER_HOME, 'broker.db'),
      join(place('by-file'), 'broker.db'),
      join(place('data'), 'mcp-token-broker', 'broker.db'),
    ]);
  });

  it('finds its default place as systemd and XDG say', async () => {
    const STATE_DIRECTORY = `${place('state')}:${place('other')}`;
    expect(await vaultOf([], { STATE_DIRECTORY })).toBe(join(place('state'), 'broker.db'));
    expect(await vaultOf([], { XDG_DATA_HOME: '' })).toBe(
      join(home.env.HOME as string, '.local/share/mcp-token-broker/broker.db'),
    );
    expect(await vaultOf(['--database', place('x.db')])).toBe(place('x.db'));
  });

  it('may name the config file in the environment, or leave it in its default place', async () => {
    const BROKER_CONFIG = configFile({ home: place('named') });
    expect(await vaultOf([], { BROKER_CONFIG })).toBe(join(place('named'), 'broker.db'));
    const { mkdirSync } = await import('node:fs');
    mkdirSync(join(place('config'), 'mcp-token-broker'));
    configFile({ home: place('found') }, join(place('config'), 'mcp-token-broker', 'config.json'));
    expect(await vaultOf([])).toBe(join(place('found'), 'broker.db'));
  });

  it('of one command may be set in the environment too', async () => {
    const { code, stdout } = await run(['agent', 'add', 'docs-bot'], {
      BROKER_ALLOW: 'coda',
      BROKER_ALLOW_UNKNOWN: 'yes',
      BROKER_JSON: '1',
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'docs-bot', allow: ['coda'] });
  });

  it('may be a list in the config file', async () => {
    const config = configFile({ listen: ['127.0.0.1:0', `unix:${place('broker.sock')}`] });
    const daemon = startBroker(['--config', config, 'serve'], { env: environment() });
    await daemon.waitFor(/listening on http:\/\/127\.0\.0\.1:\d+\n.*listening on unix:/s, 'stderr');
    expect(await daemon.stop()).toBe(0);
  });
});

describe('a switch', () => {
  const serve = (env: Record<string, string>, config: unknown = {}) =>
    run(['--config', configFile(config), 'serve', '--listen', '0.0.0.0:0'], env);

  it.each(['0', 'false', 'no', ''])('stays off in the environment with %j', async (value) => {
    expect((await serve({ BROKER_INSECURE_LISTEN: value })).code).toBe(64);
  });

  it('stays off in the config file with false, also as words', async () => {
    for (const value of [false, 'false']) {
      expect((await serve({}, { 'insecure-listen': value })).code).toBe(64);
    }
  });

  it('is refused in the environment when it is neither on nor off', async () => {
    const { code, stderr } = await serve({ BROKER_INSECURE_LISTEN: 'perhaps' });
    expect(code).toBe(64);
    expect(stderr).toContain('BROKER_INSECURE_LISTEN');
  });

  it('--no-color works from every source', async () => {
    const config = configFile({ 'no-color': true });
    const colours = { FORCE_COLOR: '1' };
    const results = await Promise.all([
      run(['token', 'demo'], colours),
      run(['--no-color', 'token', 'demo'], colours),
      run(['token', 'demo'], { ...colours, BROKER_NO_COLOR: '1' }),
      run(['--config', config, 'token', 'demo'], colours),
    ]);
    expect(results.map(({ stderr }) => stderr.includes('\u001b['))).toEqual([true, false, false, false]);
  });

  it('--json makes failures JSON too, from every source', async () => {
    const results = await Promise.all([
      run(['login', 'nothing', '--json']),
      run(['login', 'nothing'], { BROKER_JSON: '1' }),
      run(['--config', configFile({ json: true }), 'login', 'nothing']),
    ]);
    for (const { code, stdout } of results) {
      expect(code).toBe(2);
      expect(JSON.parse(stdout)).toMatchObject({ event: 'error', code: 'not_found' });
    }
  });
});

describe('a config file', () => {
  it.each<[string, unknown, string]>([
    ['an unknown key', { hoem: '/x' }, 'hoem'],
    ['no JSON', '{"home": ', 'JSON'],
    ['no object', ['home'], 'config.json'],
    ['a value of the wrong type', { home: { path: '/x' } }, 'config.json'],
    ['a value that cannot be', { 'log-level': 'loud' }, 'log-level'],
    ['a duration that is none', { timeout: 'soon' }, 'timeout'],
  ])('is refused with %s, naming what is wrong', async (_, content, named) => {
    const { code, stdout, stderr } = await run(['--config', configFile(content), 'login', 'nothing']);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr).toMatch(/^error: .+/);
    expect(stderr).toContain(named);
  });

  it('is refused when it was named and is not there', async () => {
    const { code, stderr } = await run(['--config', place('none.json'), 'token', 'demo']);
    expect([code, stderr]).toEqual([64, expect.stringContaining('none.json')]);
  });
});
