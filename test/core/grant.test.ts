import { describe, expect, it } from 'vitest';
import { describeGrant, type Grant } from '../../src/core/grant.ts';

const GRANTS: [Grant, string][] = [
  [{ kind: 'client_credentials' }, 'client credentials'],
  [{ kind: 'jwt_bearer', assertionFile: '/run/token' }, 'workload identity from /run/token'],
  [
    {
      kind: 'id_jag',
      subjectTokenFile: '/run/id-token',
      identityProvider: { issuer: 'https://idp.example.com', clientId: 'us' },
    },
    'enterprise-managed, with the ID token in /run/id-token from https://idp.example.com',
  ],
];

describe('a grant in a few words', () => {
  it.each(GRANTS)('is told for %j', (grant, words) => {
    expect(describeGrant(grant)).toBe(words);
  });
});
