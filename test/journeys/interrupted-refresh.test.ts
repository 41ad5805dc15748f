import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGate, isRefresh } from '../support/gate.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { connectionRow, journal } from '../support/vault-file.ts';

let journey: Journey;

beforeEach(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
});

afterEach(() => journey.close());

describe('a refresh that was sent', () => {
  it.each([
    ['SIGINT', ['refresh', 'demo']],
    ['SIGTERM', ['refresh', 'demo']],
    ['SIGINT', ['check', '--refresh']],
  ] as const)('is finished and saved when %s comes to broker %j', async (signal, args) => {
    const gate = createGate(isRefresh);
    journey.authorizationServer.fail(gate.rule);
    const command = journey.start([...args]);
    await gate.arrived;
    command.process.kill(signal);
    gate.open();
    expect([0, 130]).toContain(await command.exited);
    expect(journal(journey.vaultPath)).toMatchObject([{ generation: 1, outcome: 'success' }]);
    expect(connectionRow(journey.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
  });

  it('stays open in the journal when the process is killed, and the living token is still served', async () => {
    const gate = createGate(isRefresh);
    journey.authorizationServer.fail(gate.rule);
    const command = journey.start(['refresh', 'demo']);
    await gate.arrived;
    await command.stop('SIGKILL');
    expect(journal(journey.vaultPath)).toMatchObject([{ generation: 1, outcome: null }]);
    gate.open({ destroyBefore: true });
    journey.authorizationServer.fail(undefined);
    expect((await journey.run(['token', 'demo'])).code).toBe(0);
    expect(connectionRow(journey.vaultPath)).toMatchObject({ generation: 1 });
  });
});
