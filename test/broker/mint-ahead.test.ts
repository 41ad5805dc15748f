/** What a daemon does by itself for connections without a person. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Fault } from '../support/fault.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { auditTrail, connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;

let world: World;
let broker: Broker;

const isMint = ({ grantType }: RecordedRequest) => grantType === 'client_credentials';
const mints = () => world.authorizationServer.requests.filter(isMint).length;
const fail = (fault: Fault | undefined) =>
  world.authorizationServer.fail((request) => (isMint(request) ? fault : undefined));
const row = () => connectionRow(world.vaultPath);
const token = async () => (await broker.token(OPERATOR, 'demo')).accessToken.reveal();

beforeEach(async () => {
  world = await startWorld({ authorizationServer: withMachines() });
  broker = await world.openBroker({ isResident: true });
  await broker.add(byPost(world.mcp.url));
});

afterEach(() => world.close());

describe('a resident broker', () => {
  /** Lets time pass in steps of the scheduler, with room for network and disk in between. */
  async function pass(minutes: number): Promise<void> {
    for (let step = 0; step < minutes * 2; step += 1) {
      await world.clock.untilWaiting();
      await world.clock.advance(30_000);
    }
  }

  it('asks for a new token before that of a connection in use ends, once', async () => {
    await token();
    await pass(47);
    expect(mints()).toBe(1);
    await pass(5);
    await vi.waitFor(() => expect(row().generation).toBe(3));
    expect(mints()).toBe(2);
    expect(auditTrail(world.vaultPath)).toContainEqual({ actor: 'scheduler', action: 'mint', outcome: 'ok' });
  });

  it('never asks for one that nobody uses, however long', async () => {
    await pass(70);
    await world.clock.untilWaiting();
    world.clock.jump(30 * 24 * 60 * MINUTE_MS);
    await pass(2);
    expect(mints()).toBe(1);
  });

  it('mends by itself what was down', async () => {
    await token();
    fail({ status: 503 });
    world.clock.jump(50 * MINUTE_MS);
    await pass(1);
    await vi.waitFor(() => expect(row().state).toBe('degraded'));
    fail(undefined);
    await pass(2);
    await vi.waitFor(() => expect(row()).toMatchObject({ state: 'ok', generation: 3 }));
  });

  it('leaves a client alone that the server refuses', async () => {
    await token();
    fail({ status: 401, body: { error: 'invalid_client' } });
    world.clock.jump(50 * MINUTE_MS);
    await pass(1);
    await vi.waitFor(() => expect(row().state).toBe('client_invalid'));
    const before = mints();
    await pass(20);
    expect(mints()).toBe(before);
  });
});
