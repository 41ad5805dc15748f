import { afterAll, beforeAll, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { signIn } from '../support/sign-in.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

beforeAll(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  const { issuer } = world.authorizationServer;
  await signIn(broker, world.authorizationServer, issuer, { name: 'corp' });
  await broker.addIdentity({ name: 'internal', url: world.mcp.url, source: 'corp', mode: 'forward' });
});

afterAll(() => world.close());

it('an identity provider with nothing at its own address is fine, as long as it answers', async () => {
  const probe = () => Promise.reject(new Error('no program was to be asked'));
  const found = await broker.check(OPERATOR, 'corp', { probe });
  expect(found).toMatchObject({ exit_code: 0, probe: { ok: true, status: 404 } });
  expect(found.probe?.message).toBe('the server answers (404), and tells nothing of the credential');
  await world.authorizationServer.setListening(false);
  expect(await broker.check(OPERATOR, 'corp', { probe })).toMatchObject({
    exit_code: 75,
    probe: { ok: false },
  });
  await world.authorizationServer.setListening(true);
});
