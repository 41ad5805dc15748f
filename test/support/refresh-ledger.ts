import { fingerprint } from '../../src/secret.ts';
import type { RecordedRequest } from './recorded-request.ts';

/** What became of a refresh token an authorization server issued, as its own answers tell. */
export interface LedgerEntry {
  fingerprint: string;
  /** 0 for the tokens of the first login, 1 for those of the second, and so on. */
  login: number;
  /** How often it was presented for a refresh, whatever came of it. */
  presentations: number;
  /** Whether the server would take it now. */
  isAccepted: boolean;
}

/**
 * Every refresh token issued so far, oldest first, under the rules of oidc-provider: a refresh uses the token up,
 * using it again ends its login, and so does a revocation.
 */
export function refreshLedger(requests: readonly RecordedRequest[]): LedgerEntry[] {
  const ledger: LedgerEntry[] = [];
  let logins = 0;

  const entryOf = (token: string | undefined) =>
    ledger.find((entry) => token !== undefined && entry.fingerprint === fingerprint(token));

  function endLogin(login: number): void {
    for (const entry of ledger) if (entry.login === login) entry.isAccepted = false;
  }

  for (const { grantType, path, form, status, answer } of requests) {
    const issued = (answer as { refresh_token?: string } | undefined)?.refresh_token;
    const presented = entryOf(grantType === 'refresh_token' ? form?.refresh_token : undefined);
    if (presented) {
      presented.presentations += 1;
      if (status === 400 && !presented.isAccepted) endLogin(presented.login);
      if (status === 200) presented.isAccepted = false;
    }
    if (issued !== undefined) {
      const login = presented?.login ?? logins++;
      ledger.push({ fingerprint: fingerprint(issued), login, presentations: 0, isAccepted: true });
    }
    const revoked = path === '/token/revocation' && status === 200 ? entryOf(form?.token) : undefined;
    if (revoked) endLogin(revoked.login);
  }
  return ledger;
}
