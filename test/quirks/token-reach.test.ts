/** Who gets to see a token or a key: nobody but those it is for. */
import { afterEach, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { startDaemon } from '../../src/daemon.ts';
import { createLog } from '../../src/log.ts';
import { DAEMON_DEFAULTS } from '../support/daemon.ts';
import { call } from '../support/http-call.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

afterEach(() => world.close());

it('a token of one server is never shown to another, nor by the broker itself to its own', async () => {
  world = await startOddWorld();
  const other = await world.add();
  await world.signIn();
  await world.signIn({ target: other.mcp, name: 'other' }, { approve: other });
  const secrets: string[] = [];
  for (const name of ['demo', 'other']) {
    secrets.push((await world.broker.token(OPERATOR, name)).accessToken.reveal());
    await world.broker.refresh(OPERATOR, name);
  }
  // Asking for entry once more, as a login does, goes without what is known already.
  await world.signIn();
  const [ofFirst = '', ofOther = ''] = secrets;
  for (const server of [world.server, other]) {
    const told = JSON.stringify(server.requests);
    expect([told.includes(ofFirst), told.includes(ofOther)]).toEqual([false, false]);
    expect(server.requests.filter(({ path, headers }) => path === '/mcp' && headers.authorization)).toEqual(
      [],
    );
  }
  const shown = (server: typeof other) =>
    server.tokenRequests('refresh_token').map(({ form }) => form.get('refresh_token'));
  expect(shown(world.server)).toHaveLength(1);
  expect(shown(other)).toHaveLength(1);
  expect(shown(world.server)).not.toEqual(shown(other));
});

it('the key of an agent goes no further than the daemon', async () => {
  world = await startOddWorld();
  await world.signIn();
  const agent = {
    name: 'docs-bot',
    allow: ['demo'],
    modes: ['token' as const],
    admin: false,
    expiresAt: null,
  };
  const key = (await world.broker.agents.add(agent)).key.reveal();
  const daemon = await startDaemon(world.broker, DAEMON_DEFAULTS, {
    clock: world.clock,
    log: createLog('silent'),
  });
  try {
    world.clock.jump(3_600_000);
    const headers = { authorization: `Bearer ${key}` };
    const { status, json } = await call(`${daemon.urls[0]}/v1/connections/demo/headers`, { headers });
    expect([status, json.authorization ?? json.Authorization]).toEqual([
      200,
      expect.stringMatching(/^Bearer at-/),
    ]);
    expect(world.server.tokenRequests('refresh_token')).toHaveLength(1);
    expect(JSON.stringify(world.server.requests)).not.toContain(key);
  } finally {
    await daemon.close();
  }
});
