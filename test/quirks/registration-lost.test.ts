/** Registrations that a server forgets, or that end. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { beginLogin } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;

beforeEach(async () => {
  world = await startOddWorld();
});

afterEach(() => world.close());

const DAY_MS = 24 * 3_600_000;

describe('a registration the server has forgotten', () => {
  it('shows a page instead of coming back: the end of the wait names the way out, which works', async () => {
    const first = await world.signIn();
    const forgotten = first.asked.get('client_id') as string;
    world.server.forget(forgotten);
    const login = beginLogin(world.broker, 'demo', { name: undefined, timeoutMs: 60_000 });
    await expect(world.server.approve(await login.authorizationUrl)).rejects.toThrow('unknown client');
    await world.clock.advance(60_000);
    await expect(login.done).rejects.toMatchObject({
      code: 'login_timeout',
      hint: expect.stringContaining('--reregister'),
    });
    const { asked } = await world.signIn({ reregister: true });
    expect(asked.get('client_id')).not.toBe(forgotten);
    expect(world.server.registrations()).toHaveLength(2);
  });

  it.each([400, 401, 403])(
    'is known by invalid_client with %i, and the next login makes a new one',
    async (status) => {
      const first = await world.signIn();
      const forgotten = first.asked.get('client_id');
      world.server.change({
        token: (form) =>
          form.get('client_id') === forgotten ? { status, body: { error: 'invalid_client' } } : undefined,
      });
      await expect(world.broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({
        code: 'client_invalid',
        hint: 'broker login demo',
      });
      expect(connectionRow(world.vaultPath).state).toBe('client_invalid');
      const { asked } = await world.signIn();
      expect(asked.get('client_id')).not.toBe(forgotten);
      await world.broker.refresh(OPERATOR, 'demo');
      expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 3 });
    },
  );

  it('whose secret ends soon is made anew by the next login, and before that a check warns', async () => {
    const endsAt = world.clock.now() + 180 * DAY_MS;
    world.server.change({
      register: (wanted) => ({
        status: 201,
        body: {
          ...{ ...wanted, client_secret: 'of-this-test', token_endpoint_auth_method: 'client_secret_post' },
          client_secret_expires_at: endsAt / 1000,
        },
      }),
    });
    await world.signIn();
    expect(rowsOf(world.vaultPath, 'SELECT client_secret_expires_at AS at FROM clients')).toEqual([
      { at: endsAt },
    ]);
    world.clock.jump(166 * DAY_MS);
    expect(await world.broker.check(OPERATOR, 'demo')).toMatchObject({
      exit_code: 1,
      message: expect.stringContaining('the client secret ends in 14 days'),
      next_step: 'broker login demo',
    });
    await world.signIn();
    expect(world.server.registrations()).toHaveLength(2);
  });
});
