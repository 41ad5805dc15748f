/** docs/install.md, and what it installs: the packed files, with the checkout's packages in place of npm's downloads. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { commandLines, deployPath, hasProgram, readDeploy, readUnit } from '../support/deploy.ts';
import { readDockerfile } from '../support/dockerfile.ts';
import { judge } from '../support/documented/known-commands.ts';
import { CHECKOUT, installPackage, runProgram } from '../support/packed-package.ts';

const PACKAGE = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'));
const lines = commandLines('docs/install.md');

describe('the installed package', () => {
  let folder: string;
  const installed = (path: string) => join(folder, 'node_modules/mcp-token-broker', path);

  beforeAll(async () => {
    folder = await installPackage();
    for (const name of Object.keys(PACKAGE.dependencies)) {
      const link = join(folder, 'node_modules', name);
      mkdirSync(join(link, '..'), { recursive: true });
      symlinkSync(join(CHECKOUT, 'node_modules', name), link);
    }
    // As npm links it.
    mkdirSync(join(folder, 'bin'));
    symlinkSync(installed(PACKAGE.bin.broker), join(folder, 'bin/broker'));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const broker = (...args: string[]) =>
    runProgram(join(folder, 'bin/broker'), args, { cwd: folder, env: { HOME: folder } });

  test('starts: it has a version, help, and a vault', async () => {
    expect(await broker('--version')).toEqual({ code: 0, stdout: `${PACKAGE.version}\n`, stderr: '' });
    const help = await broker('--help');
    expect(help.code).toBe(0);
    for (const name of ['login', 'serve', 'check']) expect(help.stdout).toContain(`\n  ${name} `);
    const add = await broker('add', 'demo', '--url', 'https://mcp.example.com/mcp', '--none');
    expect(add.code, add.stderr).toBe(0);
  });

  test('brings the manual page where npm looks for it, the deploy files, and no more of the checkout', () => {
    // npm 11 passes over a page that is not in a list.
    expect(PACKAGE.man).toEqual(['./dist/broker.1']);
    expect(readFileSync(installed('dist/broker.1'), 'utf8')).toContain('.Dt BROKER 1');
    for (const path of readdirSync(deployPath(''), { recursive: true, encoding: 'utf8' }))
      if (!lstatSync(deployPath(path)).isDirectory())
        expect(existsSync(installed(join('deploy', path))), path).toBe(true);
    for (const path of ['src', 'test']) expect(existsSync(installed(path)), path).toBe(false);
  });

  /** npm takes those for bundled too, and leaves an empty directory in the place of each that was not packed. */
  test('bundles what its bundled packages want', () => {
    for (const name of PACKAGE.bundleDependencies) {
      const bundled = JSON.parse(readFileSync(installed(`node_modules/${name}/package.json`), 'utf8'));
      for (const wanted of Object.keys({ ...bundled.dependencies, ...bundled.peerDependencies }))
        expect(existsSync(installed(`node_modules/${wanted}/package.json`)), `${wanted} of ${name}`).toBe(
          true,
        );
    }
  });
});

describe('docs/install.md', () => {
  test.skipIf(!hasProgram('bash'))('has lines a shell can read (skipped without bash)', async () => {
    expect(lines.length).toBeGreaterThan(40);
    expect(await runProgram('bash', ['-n', '-c', lines.join('\n')], { cwd: CHECKOUT })).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('calls the broker as it wants to be called', () => {
    const called = lines.flatMap((line) =>
      [...line.matchAll(/(?:^|broker |-- |\$\()broker ([a-z-][^>)|]*)/g)].map(([, words = '']) => words),
    );
    expect(called.length).toBeGreaterThan(12);
    for (const words of called)
      expect(judge(words.replaceAll("'", '').trim().split(/\s+/)), words).toEqual({ isComplete: true });
  });

  test('installs files that are there, each of them, and takes each away again', () => {
    const copied = lines
      .filter((line) => / install -m /.test(line))
      .flatMap((line) => line.replace('$(npm root -g)', '').split(' ').slice(4, -1));
    const names = copied.map((path) => path.replace(/^.*\/deploy\//, '').replace('"', ''));
    const expected = [...readdirSync(deployPath('systemd')), 'cron/broker'];
    expect(names.sort()).toEqual(expected.sort());
    const removed = lines.filter((line) => line.startsWith('sudo rm ')).join(' ');
    for (const unit of expected.filter((each) => /\.(service|timer)$/.test(each)))
      expect(removed).toContain(`/${unit}`);
    expect(removed).toContain('/etc/cron.d/broker');
  });

  test('names files of the checkout only as they are called', () => {
    const text = readFileSync(join(CHECKOUT, 'docs/install.md'), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = '']) => path);
    expect(links.length).toBeGreaterThan(3);
    for (const path of links) expect(existsSync(join(CHECKOUT, 'docs', path)), path).toBe(true);
  });
});

describe('what the deploy files call the broker with', () => {
  const containers = readDockerfile(readDeploy('docker/Dockerfile'));
  const cmd: string[] = JSON.parse(containers[1]?.find(({ name }) => name === 'CMD')?.text ?? '[]');
  const agent: string[] = parse(readDeploy('docker/compose.yaml')).services.agent.entrypoint.slice(1);
  const kubernetes = [...readDeploy('kubernetes/broker.yaml').matchAll(/args:\n((?: +- .*\n)+)/g)].map(
    ([, list = '']) => parse(list),
  );
  const execStart = (unit: string) => (readUnit(unit).get('ExecStart')?.[0] ?? '').split(' ').slice(1);

  test.each([
    ['the image', cmd],
    ['the agent of compose.yaml', agent],
    ['the pod', kubernetes[0]],
    ['broker.service', execStart('broker.service')],
    ['broker-check.service', execStart('broker-check.service')],
    ['broker-backup.service', execStart('broker-backup.service')],
  ])('%s calls it as it wants to be called', (_, words) => {
    expect(words.length).toBeGreaterThan(0);
    expect(judge(words)).toEqual({ isComplete: true });
  });
});

test.skipIf(!hasProgram('ruby'))('the formula is Ruby (skipped where there is none)', async () => {
  const { code, stderr } = await runProgram('ruby', ['-c', deployPath('homebrew/mcp-token-broker.rb')], {
    cwd: CHECKOUT,
  });
  expect(code, stderr).toBe(0);
});

test('the formula is of this version, and can be installed only once its sum was filled in', () => {
  const formula = readDeploy('homebrew/mcp-token-broker.rb');
  expect(formula).toContain(`/mcp-token-broker-${PACKAGE.version}.tgz"`);
  expect(formula).toMatch(/sha256 "0{64}"/);
  for (const word of ['depends_on "node"', 'std_npm_args', 'test do']) expect(formula).toContain(word);
});
