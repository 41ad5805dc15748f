import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { LEASE_MS } from '../../src/broker/lease.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.mcp.url);
});

afterEach(() => world.close());

describe('a login that comes while another process works on the connection', () => {
  it('does not spend its code before it may save, so that giving up loses nothing', async () => {
    const database = new DatabaseSync(world.vaultPath);
    const renew = () =>
      database
        .prepare("UPDATE leases SET owner = 'another process', expires_at = ? WHERE name = 'connection:demo'")
        .run(world.clock.now() + LEASE_MS);
    renew();
    const redeemed = () =>
      world.authorizationServer.requests.filter(({ grantType }) => grantType === 'authorization_code').length;
    const before = redeemed();

    const login = beginLogin(broker, world.mcp.url);
    login.paste(await world.authorizationServer.approve(await login.authorizationUrl));
    let outcome: unknown;
    login.done.catch((error: unknown) => {
      outcome = error;
    });
    while (outcome === undefined) {
      await world.clock.advance(1_000);
      renew();
    }
    database.close();
    expect(outcome).toMatchObject({ code: 'upstream_unavailable' });
    expect(redeemed()).toBe(before);
    expect(connectionRow(world.vaultPath)).toMatchObject({ generation: 1, state: 'ok' });
    expect(await broker.token(OPERATOR, 'demo')).toMatchObject({ generation: 1 });
  });
});
