import { DEFAULT_SETTINGS } from '../../src/core/server-settings.ts';
import { beginAuthorization, checkCallback, type redeemCode } from '../../src/oauth/authorization.ts';
import { discoverServer } from '../../src/oauth/server-discovery.ts';
import type { AuthorizationServer } from './authorization-server.ts';
import { fetch, REDIRECT_URI, register } from './provider.ts';

/** A code a person has just approved, with all that is needed to redeem it. */
export type ApprovedLogin = Parameters<typeof redeemCode>[0];

/** Registers a client, asks for `scope` at `resource`, approves like a person, and checks what came back. */
export async function approveLogin(
  server: AuthorizationServer,
  resource: string,
  scope: string,
): Promise<ApprovedLogin> {
  const metadata = await discoverServer(server.issuer, fetch);
  const client = { ...(await register(metadata)), redirectUri: REDIRECT_URI };
  const asked = { metadata, client, settings: DEFAULT_SETTINGS, resource, scope, fetch };
  const { url, state, codeVerifier } = await beginAuthorization(asked);
  const redirect = new URL(await server.approve(url));
  const checked = checkCallback(redirect.searchParams, state, metadata);
  if (checked.kind !== 'answer') throw new Error('the answer was foreign');
  const { parameters } = checked;
  return { ...asked, redirectUri: REDIRECT_URI, parameters, state, codeVerifier, now: () => 0 };
}
