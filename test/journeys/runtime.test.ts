import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGate, isRefresh } from '../support/gate.ts';
import { createHome, type Home } from '../support/home.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { connectionRow } from '../support/vault-file.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const BIN = join(CHECKOUT, 'bin', 'broker.js');
const NEEDED = [22, 19] as const;

/** A Node of the host that is too old for us; undefined when it has none. */
const oldNode = (process.env.PATH ?? '')
  .split(delimiter)
  .map((directory) => join(directory, 'node'))
  .find((path) => existsSync(path) && !realpathSync(path).startsWith(CHECKOUT) && isTooOld(path));

function isTooOld(node: string): boolean {
  const { stdout } = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' });
  const [major = 0, minor = 0] = (stdout ?? '').split('.').map(Number);
  return major > 0 && (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1]));
}

let home: Home;
let copy: string;
/** Makes a new Node look like an old one to a script: for hosts that have no old one. */
let disguise: string;

beforeAll(async () => {
  home = await createHome();
  copy = mkdtempSync(join(tmpdir(), 'broker-copy-'));
  cpSync(join(CHECKOUT, 'bin'), join(copy, 'bin'), { recursive: true });
  disguise = join(copy, 'disguise.cjs');
  writeFileSync(
    disguise,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.0' } });",
  );
});

afterAll(async () => {
  rmSync(copy, { recursive: true });
  await home.remove();
});

/** The ways to run a script with a Node that is too old. */
const WAYS: [string, () => string[]][] = [
  ['a Node that says it is old', () => [process.execPath, '--require', disguise]],
  ...(oldNode === undefined
    ? []
    : [['the old Node of this host', () => [oldNode]] as [string, () => string[]]]),
];

function run([node = '', ...before]: string[], ...args: string[]) {
  return spawnSync(node, [...before, ...args], { env: home.env, encoding: 'utf8' });
}

describe.each(WAYS)('with %s', (_, node) => {
  it('a checkout runs by its own pinned runtime, arguments and exit code included', () => {
    const result = run(node(), BIN, 'agent', 'add', 'Not A Name', '--allow', 'x y');
    expect(result.status, result.stderr).toBe(64);
    expect(result.stderr).toMatch(/^error: "Not A Name" is not an agent name\n/);
    expect(run(node(), BIN, '--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('an installation without that runtime says in one line what is missing, and exits 70', () => {
    const result = run(node(), join(copy, 'bin', 'broker.js'), 'list');
    expect(result.status).toBe(70);
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(
      /^error: Node 22\.19 or newer is needed, this is \d+\.\d+\.\d+\n {2}→ install a newer Node, or in a checkout run: npm ci\n$/,
    );
  });
});

it('a checkout that is not built says so, and exits 70', () => {
  const result = run([process.execPath], join(copy, 'bin', 'broker.js'), 'list');
  expect([result.status, result.stdout]).toEqual([70, '']);
  expect(result.stderr).toBe('error: the broker is not built yet\n  → run: npm run build\n');
});

describe.each(WAYS)('a daemon started with %s', (_, node) => {
  let journey: Journey;

  beforeAll(async () => {
    journey = await startJourney();
    const { code, stderr } = await journey.login();
    expect(code, stderr).toBe(0);
  });

  afterAll(() => journey.close());

  /** A daemon in a process group of its own, as a terminal gives it. */
  async function serve() {
    const [command = '', ...before] = node();
    const args = [...before, BIN, 'serve', '--listen', '127.0.0.1:0'];
    const daemon = spawn(command, args, { env: journey.home.env, detached: true });
    const exited = new Promise<number | null>((resolve) => daemon.once('close', resolve));
    let stderr = '';
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    async function says(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = pattern.exec(stderr);
        if (found) return found[1] ?? found[0];
        await once(daemon.stderr, 'data');
      }
    }
    const url = await says(/listening on (\S+)/);
    return { pid: daemon.pid as number, url, says, exited, stderr: () => stderr };
  }

  it('stops in good order on SIGTERM', async () => {
    const daemon = await serve();
    expect((await fetch(`${daemon.url}/healthz`)).status).toBe(200);
    process.kill(daemon.pid, 'SIGTERM');
    expect(await daemon.exited).toBe(0);
    expect(daemon.stderr()).toContain('stopped');
  });

  it('finishes a refresh on Ctrl-C, which a terminal sends to launcher and daemon alike', async () => {
    const { stdout } = await journey.run(['agent', 'add', `bot-${process.pid}`, '--allow', 'demo']);
    const headers = { authorization: `Bearer ${stdout.trim()}`, 'content-type': 'application/json' };
    const daemon = await serve();
    const gate = createGate(isRefresh);
    journey.authorizationServer.fail(gate.rule);
    const before = connectionRow(journey.vaultPath).generation;
    const body = JSON.stringify({ refresh: true });
    const pending = fetch(`${daemon.url}/v1/connections/demo/check`, { method: 'POST', headers, body }).then(
      ({ status }) => status,
      (error: unknown) => error,
    );
    await gate.arrived;
    // The launcher is held, so that it forwards the signal only after the daemon has got it from the terminal.
    process.kill(daemon.pid, 'SIGSTOP');
    process.kill(-daemon.pid, 'SIGINT');
    await daemon.says(/SIGINT: finishing/);
    process.kill(daemon.pid, 'SIGCONT');
    await untilRefused(daemon.url);
    gate.open();
    expect(await pending).toBe(200);
    expect(await daemon.exited, daemon.stderr()).toBe(0);
    expect(connectionRow(journey.vaultPath)).toMatchObject({ generation: before + 1, state: 'ok' });
  });
});

/** Resolves when nobody listens any more. */
async function untilRefused(url: string): Promise<void> {
  for (;;) {
    const isThere = await fetch(`${url}/healthz`).then(
      () => true,
      () => false,
    );
    if (!isThere) return;
  }
}
