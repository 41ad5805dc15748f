/** Programs that start others in a group of their own, which nobody but they can end. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isRunning, type ProgramWorld, startProgramWorld } from '../support/program-world.ts';
import { rpcClient, toolText } from '../support/rpc.ts';

let given: ProgramWorld;
let leftover: number | undefined;

beforeEach(async () => {
  given = await startProgramWorld();
  await given.add('coda-local');
});
afterEach(async () => {
  if (leftover !== undefined) process.kill(leftover, 'SIGKILL');
  await given.close();
});

async function begin() {
  const client = rpcClient(`${given.url}/mcp/coda-local`, await given.agent('docs-bot'));
  await client.initialize();
  leftover = Number(toolText(await client.callTool(1, 'fork', { away: true })));
  return client;
}

/** Lets pass the time a program has to end, and that in which its streams may. */
async function passTime(): Promise<void> {
  await given.logged((line) => line.msg === 'a program is asked to end');
  for (const ms of [1_000, 4_000, 1_000]) await given.world.clock.advance(ms);
}

it('do not hold up the end of the daemon, though they hold their streams open', async () => {
  await begin();
  const closed = given.daemon.close();
  await passTime();
  await closed;
  expect(isRunning(leftover as number)).toBe(true);
});

it('leave no call without an answer when they end by themselves', async () => {
  const client = await begin();
  const crashed = client.callTool(2, 'crash');
  await passTime();
  expect(JSON.stringify((await crashed).messages)).toContain('has ended (exit code 3)');
});
