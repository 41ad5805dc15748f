/** The client library as agents get it: packed, installed, and used with the built daemon on real servers. */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { brokerAuth, brokerFetch } from '../../src/client/index.ts';
import { fingerprint } from '../../src/secret.ts';
import type { BrokerProcess } from '../support/broker-process.ts';
import { freePort } from '../support/free-port.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { CHECKOUT, installPackage, runProgram } from '../support/packed-package.ts';
import { prepareDemo, withBroker } from '../support/prepare.ts';

/** Seconds a token lives: short enough to see it end; servers count in whole seconds, so not much shorter either. */
const TOKEN_SECONDS = 12;

let lifetime = TOKEN_SECONDS;
let journey: Journey;
let key: string;
let daemon: BrokerProcess;
let url: string;
let socket: string;
/** A folder where the package is installed from its tarball, and nothing else. */
let folder: string;

beforeAll(async () => {
  journey = await startJourney({ authorizationServer: { accessTokenSeconds: () => lifetime } });
  key = await prepareDemo(journey, { name: 'client', allow: ['demo@*'] }, { account: 'alice' });
  socket = join(journey.home.path, 'broker.sock');
  url = `http://127.0.0.1:${await freePort()}`;
  [daemon, folder] = await Promise.all([serve(), installPackage()]);
}, 60_000);

afterAll(async () => {
  await journey.close();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(): Promise<BrokerProcess> {
  const listening = ['--listen', url.replace('http://', ''), '--listen', `unix:${socket}`];
  const process = journey.start(['serve', ...listening]);
  await process.waitFor(/listening on unix:/, 'stderr');
  return process;
}

/** Runs a program to its end, with the environment of an agent. */
const run = (
  file: string,
  args: string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
) =>
  runProgram(file, args, {
    cwd,
    env: { HOME: journey.home.path, BROKER_AGENT_KEY: key, BROKER_URL: url, ...env },
  });

/** The Node that runs the tests, and those of the host that are new enough for the library. */
const nodes = [
  ...new Set([
    process.execPath,
    ...(process.env.PATH ?? '')
      .split(delimiter)
      .map((directory) => join(directory, 'node'))
      .filter((path) => existsSync(path) && !realpathSync(path).startsWith(CHECKOUT))
      .map((path) => realpathSync(path)),
  ]),
]
  .map((path): [string, string] => [versionOf(path), path])
  .filter(([version]) => Number(version.split('.')[0]) >= 20);

function versionOf(node: string): string {
  return spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout.trim();
}

describe('the packed library', () => {
  it.each(nodes)('works in plain Node %s, over TCP and over a Unix socket', async (_, node) => {
    const script = `
      import { brokerAuth, brokerFetch, BrokerClientError } from 'mcp-token-broker/client';
      import { createRequire } from 'node:module';
      const { version } = createRequire(import.meta.url)('mcp-token-broker/package.json');
      const token = await brokerAuth({ connection: 'demo@alice' }).token();
      const fetch = brokerFetch({ connection: 'demo@alice', url: 'unix:${socket}' });
      const response = await fetch('${journey.mcp.url}', { method: 'DELETE' });
      const error = await brokerFetch({ connection: 'none' })('${journey.mcp.url}').catch((reason) => reason);
      process.stdout.write(JSON.stringify({
        version, length: token.length, isRefused: response.status === 401,
        isError: error instanceof BrokerClientError, code: error.code,
      }));`;
    writeFileSync(join(folder, 'agent.mjs'), script);
    const { code, stdout, stderr } = await run(node, ['agent.mjs'], { cwd: folder });
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      length: expect.any(Number),
      isRefused: false,
      isError: true,
      code: 'not_found',
    });
  });

  it.each([
    ['of the web', { lib: ['es2022', 'dom'], types: [] }],
    ['of Node', { lib: ['es2022'], types: ['node'] }],
  ])('has types that need nothing but those %s', async (_, options) => {
    const script = `
      import { type BrokerAuth, BrokerClientError, brokerAuth, brokerFetch } from 'mcp-token-broker/client';
      const auth: BrokerAuth = brokerAuth({ connection: 'coda', minTtl: 60 });
      export const token: Promise<string> = auth.token();
      export const fetching: typeof fetch = brokerFetch({ connection: 'coda' }, fetch);
      export const wait = (error: unknown) =>
        error instanceof BrokerClientError && error.code === 'rate_limited' ? error.retryAfterSeconds : undefined;
      // @ts-expect-error the connection must be said
      brokerAuth({});
      // @ts-expect-error a number is no key
      brokerFetch({ connection: 'coda', key: 7 });
      export const seconds: number | undefined = wait(undefined);`;
    writeFileSync(join(folder, 'agent.ts'), script);
    const compilerOptions = {
      strict: true,
      module: 'nodenext',
      noEmit: true,
      skipLibCheck: false,
      ...options,
    };
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['agent.ts'] }));
    for (const name of ['@types', 'undici-types']) {
      const link = join(folder, 'node_modules', name);
      rmSync(link, { recursive: true, force: true });
      if (options.types.length > 0) symlinkSync(join(CHECKOUT, 'node_modules', name), link);
    }
    const tsc = join(CHECKOUT, 'node_modules', '.bin', 'tsc');
    expect(await run(tsc, ['-p', folder], { cwd: folder })).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

describe('the examples', () => {
  const example = (name: string, args = [journey.mcp.url, 'demo@alice'], env = {}) =>
    run(process.execPath, [join('examples', name), ...args], { cwd: CHECKOUT, env });

  it.each(['mcp-sdk-v1.ts', 'mcp-sdk-v2.ts'])('%s lists the tools of a protected server', async (name) => {
    expect(await example(name)).toEqual({ code: 0, stdout: 'echo\nwhoami\n', stderr: '' });
  });

  it('plain-fetch.ts calls it, and says what the broker wants when it cannot', async () => {
    const { code, stdout } = await example('plain-fetch.ts');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^200\n(.*\n)*.*"serverInfo"/)]);
    const refused = await example('plain-fetch.ts', [journey.mcp.url, 'demo']);
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toMatch(/^not_found: .+\n.*\/v1\/connections/);
    const elsewhere = await example('plain-fetch.ts', undefined, { BROKER_URL: 'http://127.0.0.1:9' });
    expect(elsewhere.stderr).toMatch(/^daemon_unreachable: .+\n.*broker serve/);
  });
});

describe('an agent', () => {
  const options = () => ({ connection: 'demo@alice', url, key });

  it('works past the end of its token, and no call is refused', async () => {
    const fetch = brokerFetch(options());
    const seen = journey.mcp.requests.length;
    const isRenewed = async () => {
      // The server takes the token, and misses the session.
      const response = await fetch(journey.mcp.url, { method: 'DELETE' });
      expect(await response.text()).toContain('session');
      return new Set(journey.mcp.requests.slice(seen).map(({ bearer }) => bearer)).size > 1;
    };
    await vi.waitUntil(isRenewed, { timeout: 2 * TOKEN_SECONDS * 1000, interval: 20 });
    expect(journey.mcp.requests.slice(seen).filter(({ status }) => status === 401)).toEqual([]);
  });

  it('does not notice that the daemon restarts, as long as its token lives', async () => {
    lifetime = 3600;
    const auth = brokerAuth({ ...options(), minTtl: 60 });
    const token = await auth.token();
    expect(await daemon.stop()).toBe(0);
    expect(await auth.token()).toBe(token);
    const late = brokerAuth(options());
    await expect(late.token()).rejects.toMatchObject({ code: 'daemon_unreachable' });
    daemon = await serve();
    expect(fingerprint(await late.token())).toBe(fingerprint(token));
  });

  it('whose key is revoked is told so, by TCP and by socket', async () => {
    await withBroker(journey, (broker) => broker.agents.revoke('client'));
    for (const place of [url, `unix:${socket}`]) {
      await expect(brokerAuth({ ...options(), url: place }).token()).rejects.toMatchObject({
        code: 'unauthenticated',
        status: 401,
        message: expect.not.stringContaining(key),
      });
    }
  });
});
