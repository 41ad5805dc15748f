import { jwtVerify } from 'jose';
import type OidcProvider from 'oidc-provider';
import { verificationKey } from './authorization-provider.ts';

/** What the server knows about an access token, in the words of RFC 7662. */
export interface TokenStatus {
  active: boolean;
  aud?: string;
  scope?: string;
  sub?: string;
  client_id?: string;
  /** Epoch seconds. */
  exp?: number;
}

/** What `provider` itself says about an access token, opaque or JWT. */
export async function tokenStatus(provider: OidcProvider, token: string): Promise<TokenStatus> {
  if (token.split('.').length === 3) return jwtStatus(provider.issuer, token);
  const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
  if (!found) return { active: false };
  const { aud, scope, clientId, exp } = found;
  return {
    active: true,
    ...(typeof aud === 'string' ? { aud } : {}),
    ...(scope === undefined ? {} : { scope }),
    ...(clientId === undefined ? {} : { client_id: clientId }),
    ...(exp === undefined ? {} : { exp }),
    ...('accountId' in found ? { sub: found.accountId } : {}),
  };
}

/** Whether `provider` itself would accept a refresh token now: neither used nor gone with its login. */
export async function refreshTokenIsActive(provider: OidcProvider, token: string): Promise<boolean> {
  return (await provider.RefreshToken.find(token))?.isValid === true;
}

async function jwtStatus(issuer: string, token: string): Promise<TokenStatus> {
  try {
    const { payload } = await jwtVerify<TokenStatus>(token, await verificationKey(), {
      issuer,
      typ: 'at+jwt',
    });
    const { aud, scope, sub, client_id, exp } = payload;
    return { aud, scope, sub, client_id, exp, active: true } as TokenStatus;
  } catch {
    return { active: false };
  }
}
