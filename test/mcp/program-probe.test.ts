import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { isRunning, type LogLine, type ProgramWorld, startProgramWorld } from '../support/program-world.ts';

let given: ProgramWorld;
let key: string;

beforeAll(async () => {
  given = await startProgramWorld();
  key = await given.agent('docs-bot');
});

afterAll(() => given.close());

const probe = (name: string) =>
  call(`${given.url}/v1/connections/${name}/check`, {
    ...{ method: 'POST', headers: { authorization: `Bearer ${key}` }, body: { probe: true } },
  });

/** A program of one line. */
function script(name: string, code: string): string[] {
  const path = join(given.world.home.path, `${name}.cjs`);
  writeFileSync(path, code);
  return [path];
}

const pidOf = (line: LogLine) => Number(line.pid);

it('a program is started for a probe, answers, and is gone with the answer', async () => {
  await given.add('local');
  const { json } = await probe('local');
  expect(json).toMatchObject({
    exit_code: 0,
    probe: { ok: true, message: 'stdio-test-server 1.0.0 has started and answers' },
  });
  const started = await given.logged(({ msg }) => msg === 'a program has started');
  expect(isRunning(pidOf(started))).toBe(false);
});

it('a program that ends at once is 75, with how it ended', async () => {
  await given.add('broken', { args: script('broken', 'process.exit(3)') });
  const { json } = await probe('broken');
  expect(json).toMatchObject({ exit_code: 75, probe: { ok: false }, next_step: expect.any(String) });
  expect(json.message).toMatch(/^the program of broken (does not answer: .*|has ended )\(exit code 3\)$/);
});

it('a program that does not answer is given up after ten seconds, and ended', async () => {
  await given.add('mute', { args: script('mute', 'process.stdin.resume()') });
  const probing = probe('mute');
  const started = await given.logged(
    ({ msg, connection }) => msg === 'a program has started' && connection === 'mute',
  );
  await given.world.clock.advance(10_000);
  expect((await probing).json).toMatchObject({
    ...{ exit_code: 75, message: 'the program of mute does not answer in time' },
    probe: { ok: false },
  });
  expect(isRunning(pidOf(started))).toBe(false);
});

it('a program without the secret it needs is 2', async () => {
  await given.add('poor');
  await given.broker.logout({ kind: 'operator' }, 'coda-pat');
  const { json } = await probe('poor');
  expect(json).toMatchObject({ exit_code: 2, probe: { ok: false } });
  expect(json.message).toContain('poor needs the secret of coda-pat, which is not there any more');
});
