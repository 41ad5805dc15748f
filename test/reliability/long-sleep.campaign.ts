import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { REQUEST_DEADLINE_MS } from '../../src/oauth/http.ts';
import { createGate, isRefresh } from '../support/gate.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { refreshLedger } from '../support/refresh-ledger.ts';
import { storedLogin } from '../support/stored-login.ts';
import { journal } from '../support/vault-file.ts';

let world: ProcessWorld;

afterEach(() => world.close());

it('an answer that came while its process slept is kept, although the deadline of the request passed', async () => {
  world = await startProcessWorld();
  const gate = createGate(isRefresh);
  world.authorizationServer.fail(gate.rule);
  const { process } = world.trace(['refresh', 'demo']);
  await gate.arrived;
  process.process.kill('SIGSTOP');
  gate.open();
  await expect.poll(() => world.authorizationServer.refreshes(), { interval: 10 }).toBe(1);
  // A process that sleeps shows nothing that could be waited for: the time itself has to pass.
  await delay(REQUEST_DEADLINE_MS + 500);
  process.process.kill('SIGCONT');

  expect(await process.exited, process.stderr()).toBe(0);
  expect(journal(world.vaultPath)).toMatchObject([{ generation: 1, attempt: 1, outcome: 'success' }]);
  const newest = refreshLedger(world.authorizationServer.requests).at(-1)?.fingerprint;
  expect(await storedLogin(world.home)).toMatchObject({ generation: 2, state: 'ok', refreshToken: newest });
}, 60_000);
