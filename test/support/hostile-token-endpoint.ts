/** The token endpoint of the hostile server. */
import type { ServerResponse } from 'node:http';
import { createFaultyRefreshes, type FaultyRefreshes } from './faulty-refreshes.ts';
import type { GrantStore } from './hostile-grants.ts';
import type { Logins } from './hostile-logins.ts';
import { sendJson } from './hostile-wire.ts';

export interface TokenEndpoint {
  /** Where the faults happen. */
  refreshes: FaultyRefreshes;
  /** Answers one token request. */
  serve(form: URLSearchParams, response: ServerResponse): Promise<void>;
}

export interface TokenEndpointOptions {
  clock: { now(): number };
  grants: GrantStore;
  logins: Logins;
}

/** An endpoint without a fault. */
export function createTokenEndpoint({ clock, grants, logins }: TokenEndpointOptions): TokenEndpoint {
  const refreshes = createFaultyRefreshes(clock);

  function refresh(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const token = form.get('refresh_token') ?? '';
    return refreshes.serve(token, response, () => {
      const decided = grants.refresh(token, form.get('client_id') ?? '', form.get('resource'));
      return { ...decided, send: () => sendJson(response, decided.status, decided.body) };
    });
  }

  return {
    refreshes,
    async serve(form, response) {
      const grantType = form.get('grant_type');
      if (!logins.isClient(form.get('client_id'))) {
        sendJson(response, 401, { error: 'invalid_client' });
      } else if (grantType === 'refresh_token') {
        await refresh(form, response);
      } else if (grantType === 'authorization_code') {
        const redeemed = logins.redeem(form);
        const answer = 'status' in redeemed ? redeemed : grants.begin(redeemed);
        refreshes.noteDelivered(answer.body);
        sendJson(response, answer.status, answer.body);
      } else {
        sendJson(response, 400, { error: 'unsupported_grant_type' });
      }
    },
  };
}
