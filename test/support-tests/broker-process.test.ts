import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runBroker, startBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';

/** Stands in for the bin, so that the helper is proven before there is anything to run. */
const SCRIPT = `
process.stderr.write('ready\\n');
process.stdin.setEncoding('utf8').on('data', (text) => process.stdout.write('got ' + text));
if (process.argv[2] === 'env') console.log(Object.keys(process.env).sort().join());
if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
if (process.argv[2] === 'wait') setInterval(() => undefined, 1e9);
if (process.argv[2] === 'graceful') process.on('SIGTERM', () => process.exit(7));
`;

let home: Home;
let options: { env: Record<string, string>; script: string };

beforeEach(async () => {
  home = await createHome();
  const script = join(home.path, 'script.cjs');
  await writeFile(script, SCRIPT);
  options = { env: home.env, script };
});

afterEach(() => home.remove());

describe('a broker process', () => {
  it('runs to its end with input and a clean environment', async () => {
    const result = await runBroker(['env'], { ...options, input: 'hello\n' });
    const names = 'BROKER_HOME,HOME,NODE_COMPILE_CACHE,PATH,XDG_CONFIG_HOME,XDG_DATA_HOME,XDG_RUNTIME_DIR';
    expect(result).toEqual({ code: 0, stdout: `${names}\ngot hello\n`, stderr: 'ready\n' });
    expect(await runBroker(['exit', '3'], options)).toMatchObject({ code: 3 });
  });

  it('rejects with all output when a run takes too long', async () => {
    const late = runBroker(['wait'], { ...options, timeoutMs: 100 });
    await expect(late).rejects.toThrow(/within 100 ms[\s\S]*--- stderr ---/);
  });

  it('talks to a child that goes on, and stops it', async () => {
    const broker = startBroker(['graceful'], options);
    await broker.waitFor(/ready/, 'stderr');
    broker.write('one');
    expect((await broker.waitFor(/got (\w+)/))[1]).toBe('one');
    expect(await broker.stop()).toBe(7);
    expect(await broker.stop()).toBe(7);
  });

  it('ends when its input ends, if it reads nothing else', async () => {
    const broker = startBroker([], options);
    broker.closeInput();
    expect(await broker.exited).toBe(0);
  });

  it('rejects a wait with all output when the child exits first', async () => {
    const broker = startBroker(['exit', '4'], options);
    await expect(broker.waitFor(/never/)).rejects.toThrow(/exited with 4 before[\s\S]*ready/);
  });

  it('has no exit code when a signal ended it', async () => {
    const broker = startBroker(['wait'], options);
    await broker.waitFor(/ready/, 'stderr');
    expect(await broker.stop('SIGKILL')).toBeNull();
  });
});
