/** `broker tools` of servers that are reached in other ways than Streamable HTTP, through the real bin. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { PROGRAM_SECRET, STDIO_SERVER } from '../support/program-world.ts';

let journey: Journey;
afterEach(() => journey.close());

const tools = (...args: string[]) => journey.run(['tools', ...args]);
async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Processes whose command line has this word. */
const processesWith = (word: string) =>
  readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each) && commandLine(each).includes(word))
    .map(Number);

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

it.each(['session', 'shared'])(
  'asks a program (%s), accepts its tools, and leaves no process',
  async (way) => {
    journey = await startJourney();
    const secretFile = join(journey.home.path, 'pat.txt');
    writeFileSync(secretFile, PROGRAM_SECRET, { mode: 0o600 });
    await done('add', 'coda-pat', '--url', 'https://coda.io/apis/mcp', '--bearer-file', secretFile);
    const mark = `--mark=${journey.home.path}`;
    const add = (...args: string[]) =>
      done(
        ...['add', 'local', '--command', 'node', '--arg', STDIO_SERVER, '--arg', mark],
        ...['--env', 'API_TOKEN={{coda-pat}}', '--process', way, ...args],
      );
    await add();
    const listed = await tools('local');
    expect([listed.code, listed.stderr]).toEqual([0, '']);
    expect(listed.stdout).toMatch(/^echo +- +allowed/m);
    expectFailure(await tools('local', '--deny', 'eco'), 64, /local has nothing called "eco"/);
    expect((await tools('local', '--pin')).code).toBe(0);
    expect(await tools('local', '--diff')).toMatchObject({ code: 0, stdout: '' });
    await add('--arg', '--renamed');
    const differs = await tools('local', '--diff');
    expect(differs.code).toBe(1);
    expect(differs.stdout).toMatch(/^echo_again new$/m);
    expect(differs.stdout).toMatch(/^echo gone$/m);
    // What it writes is told to whoever wants to know.
    expect((await tools('local', '--log-level', 'info')).stderr).toContain('"stderr":"ready"');
    await add('--arg', '--dead');
    const dead = await tools('local');
    expectFailure(dead, 75, /exit code 4/);
    expect(dead.stderr).toContain('broker tools local --log-level info');
    expect(processesWith(mark)).toEqual([]);
  },
);

it('asks a server of the older transport in its own way', async () => {
  journey = await startJourney({ mcp: { sse: {} } });
  expect((await journey.login({ args: ['--transport', 'sse'] })).code).toBe(0);
  const listed = await tools('demo');
  expect([listed.code, listed.stderr]).toEqual([0, '']);
  expect(listed.stdout).toMatch(/^whoami +- +allowed/m);
  expect((await tools('demo', '--pin')).code).toBe(0);
  expect(await tools('demo', '--diff')).toMatchObject({ code: 0, stdout: '' });
});
