import { describe, expect, it } from 'vitest';
import {
  type AgentPolicy,
  isLive,
  keyRefusal,
  maySee,
  mayUse,
  overlappingKey,
} from '../../src/core/access-policy.ts';
import { NOW } from '../support/connection.ts';

const policy: AgentPolicy = {
  allow: ['coda', 'notion@*'],
  modes: ['gateway'],
  tools: { allow: [], deny: [] },
  rate: null,
  admin: false,
};

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

describe('a key that was replaced', () => {
  const rotated = (endsAt: number, changes: { revokedAt?: number; expiresAt?: number } = {}) => ({
    revokedAt: null,
    expiresAt: null,
    previousKey: { prefix: 'mtb_old', endsAt, lastUsedAt: null },
    ...changes,
  });

  it.each([
    ['before the overlap is over', rotated(NOW + 1), undefined],
    ['when the overlap is over', rotated(NOW), 'rotated'],
    ['of an agent that was revoked meanwhile', rotated(NOW + 1, { revokedAt: NOW }), 'revoked'],
    ['of an agent that has expired meanwhile', rotated(NOW + 1, { expiresAt: NOW }), 'expired'],
    ['that nobody knows of', { revokedAt: null, expiresAt: null, previousKey: null }, 'rotated'],
  ])('%s: %s', (_, agent, refusal) => {
    expect(keyRefusal(agent, 'previous', NOW)).toBe(refusal);
    expect(overlappingKey(agent, NOW) !== undefined).toBe((agent.previousKey?.endsAt ?? 0) > NOW);
  });

  it('leaves the new one alone: it opens also when the overlap is over', () => {
    expect(keyRefusal(rotated(NOW - 1), 'current', NOW)).toBeUndefined();
    expect(keyRefusal(rotated(NOW - 1, { revokedAt: 1 }), 'current', NOW)).toBe('revoked');
    expect(keyRefusal(rotated(NOW + 1, { expiresAt: NOW }), 'current', NOW)).toBe('expired');
  });
});
