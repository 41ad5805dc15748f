import { describe, expect, it } from 'vitest';
import { type AgentPolicy, isLive, maySee, mayUse } from '../../src/core/access-policy.ts';
import { NOW } from '../support/connection.ts';

const policy: AgentPolicy = { allow: ['coda', 'notion@*'], modes: ['gateway'], admin: false };

describe('an agent', () => {
  it.each([
    ['coda', true],
    ['notion@alice', true],
    ['notion', false],
    ['coda@alice', false],
    ['linear', false],
  ])('may see %s: %s', (connection, isAllowed) => {
    expect(maySee(policy, connection)).toBe(isAllowed);
  });

  it('that is allowed nothing sees nothing', () => {
    expect(maySee({ ...policy, allow: [] }, 'coda')).toBe(false);
  });

  it('that is an admin still sees only what it is allowed', () => {
    expect(maySee({ ...policy, admin: true }, 'linear')).toBe(false);
  });

  it('may use a connection only in the ways of its policy', () => {
    expect(mayUse(policy, 'gateway')).toBe(true);
    expect(mayUse(policy, 'token')).toBe(false);
  });
});

describe('an agent key', () => {
  it.each([
    ['that never ends', { revokedAt: null, expiresAt: null }, true],
    ['before its end', { revokedAt: null, expiresAt: NOW + 1 }, true],
    ['at its end', { revokedAt: null, expiresAt: NOW }, false],
    ['that was revoked', { revokedAt: NOW - 1, expiresAt: null }, false],
    [
      'that was revoked a moment from now by another clock',
      { revokedAt: NOW + 1000, expiresAt: null },
      false,
    ],
  ])('%s opens: %s', (_, agent, opens) => {
    expect(isLive(agent, NOW)).toBe(opens);
  });
});
