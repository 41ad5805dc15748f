import { describe, expect, it } from 'vitest';
import {
  inheritTokenSet,
  nothingYet,
  parseTokenSet,
  readTokenSet,
  serialiseTokenSet,
  type TokenSet,
} from '../../src/core/token-set.ts';
import { Secret } from '../../src/secret.ts';
import { HOUR_MS, NOW } from '../support/connection.ts';

function read(body: Record<string, unknown>, at = NOW): TokenSet {
  const tokens = readTokenSet({ access_token: 'fake-access', ...body }, at);
  if (!tokens) throw new Error('no token set');
  return tokens;
}

const FIRST = { refresh_token: 'fake-refresh-1' };
const life = (tokens: TokenSet) => tokens.refreshLife;

describe('the life of a refresh token', () => {
  it('begins when it comes', () => {
    expect(life(read(FIRST))).toEqual({ receivedAt: NOW });
    expect(life(read({}))).toBeUndefined();
    expect(life(nothingYet(NOW, { refreshToken: new Secret('fake-refresh-1') }))).toEqual({
      receivedAt: NOW,
    });
    expect(life(nothingYet(NOW))).toBeUndefined();
  });

  it.each([
    [{ refresh_token_expires_in: 60 }, 60_000],
    [{ refresh_expires_in: '60' }, 60_000],
    // Keycloak says 0 of one that does not end.
    [{ refresh_expires_in: 0 }, undefined],
    [{ refresh_token_expires_in: 'soon' }, undefined],
  ])('ends as the server tells: %j', (told, ms) => {
    expect(life(read({ ...FIRST, ...told }))?.expiresAt).toBe(ms === undefined ? undefined : NOW + ms);
  });

  it('goes on while the same one is kept or given again, and begins anew with another', () => {
    const first = read({ ...FIRST, refresh_token_expires_in: 7200 });
    const end = NOW + 2 * HOUR_MS;
    const later = NOW + HOUR_MS;
    expect(life(inheritTokenSet(read({}, later), first))).toEqual({ receivedAt: NOW, expiresAt: end });
    expect(life(inheritTokenSet(read(FIRST, later), first))).toEqual({ receivedAt: NOW, expiresAt: end });
    const other = inheritTokenSet(read({ refresh_token: 'fake-refresh-2' }, later), first);
    expect(life(other)).toEqual({ receivedAt: later });
  });

  it('is known to be prolonged once a refresh has put its end off, and only while it does', () => {
    const first = read({ ...FIRST, refresh_expires_in: 7200 });
    const later = NOW + HOUR_MS;
    const sliding = inheritTokenSet(read({ ...FIRST, refresh_expires_in: 7200 }, later), first);
    expect(life(sliding)).toEqual({ receivedAt: NOW, expiresAt: later + 2 * HOUR_MS, isProlonged: true });
    const silent = inheritTokenSet(read({ refresh_token: 'fake-refresh-2' }, later + 1), sliding);
    expect(life(silent)).toEqual({ receivedAt: later + 1, isProlonged: true });
    const fixed = inheritTokenSet(read({ ...FIRST, refresh_expires_in: 3601 }, later), first);
    expect(life(fixed)).toEqual({ receivedAt: NOW, expiresAt: NOW + 2 * HOUR_MS + 1000 });
  });

  it('is kept with the token set', () => {
    const tokens = inheritTokenSet(
      read({ ...FIRST, refresh_expires_in: 7200 }, NOW + HOUR_MS),
      read({ ...FIRST, refresh_expires_in: 7200 }),
    );
    expect(parseTokenSet(serialiseTokenSet(tokens)).refreshLife).toEqual(life(tokens));
    expect(life(tokens)?.isProlonged).toBe(true);
  });
});
