import type { Adapter, AdapterPayload } from 'oidc-provider';

/** What is issued under a grant, and dies with it. */
const KINDS_OF_A_GRANT = ['Grant', 'AccessToken', 'AuthorizationCode', 'RefreshToken'];

/** Everything one authorization server remembers. Each server has its own, so that tests cannot meet in it. */
export interface MemoryStore {
  /** The store as oidc-provider wants it: one adapter for each kind of record. */
  adapter(kind: string): Adapter;
  /** Forgets all grants of an account and every token issued under them. */
  revokeGrantsOf(account: string): void;
  /** Forgets every access token; the logins live on. */
  revokeAccessTokens(): void;
}

/** Creates an empty store. Expiry is left to the provider, which checks `exp` of whatever it finds. */
export function createMemoryStore(): MemoryStore {
  const records = new Map<string, AdapterPayload>();

  function findBy(kind: string, field: 'uid' | 'userCode', value: string): AdapterPayload | undefined {
    for (const [key, payload] of records) {
      if (key.startsWith(`${kind}:`) && payload[field] === value) return payload;
    }
    return undefined;
  }

  function adapter(kind: string): Adapter {
    return {
      async upsert(id, payload) {
        records.set(`${kind}:${id}`, payload);
      },
      async find(id) {
        return records.get(`${kind}:${id}`);
      },
      async findByUid(uid) {
        return findBy(kind, 'uid', uid);
      },
      async findByUserCode(userCode) {
        return findBy(kind, 'userCode', userCode);
      },
      async consume(id) {
        const payload = records.get(`${kind}:${id}`);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      },
      async destroy(id) {
        records.delete(`${kind}:${id}`);
      },
      async revokeByGrantId(grantId) {
        for (const [key, payload] of records) {
          if (key.startsWith(`${kind}:`) && payload.grantId === grantId) records.delete(key);
        }
      },
    };
  }

  return {
    adapter,
    revokeGrantsOf(account) {
      for (const [key, payload] of records) {
        if (payload.accountId === account && KINDS_OF_A_GRANT.includes(payload.kind ?? ''))
          records.delete(key);
      }
    },
    revokeAccessTokens() {
      for (const key of [...records.keys()].filter((each) => each.startsWith('AccessToken:')))
        records.delete(key);
    },
  };
}
