/**
 * What can be wrong with `broker add`, found out before there is a vault: a mistake must not leave an empty one and its
 * key behind. Where there is one, the rest is found out with its help.
 */
import { existsSync } from 'node:fs';
import type { Settings } from '../config.ts';
import { enteredTokens } from '../core/entered.ts';
import { DEFAULT_SETTINGS } from '../core/server-settings.ts';
import { chooseAuthMethod, clientAuth, proofOf } from '../oauth/client-auth.ts';
import { generateClientKey } from '../oauth/client-key.ts';
import type { FetchFor } from '../oauth/http.ts';
import { machineSettings, type NewConnection, requireMachine } from './add.ts';
import { type NewIdentityServer, noIdentities, requireIdentityServer } from './add-identity.ts';
import { type NewStaticConnection, probe } from './add-static.ts';
import { networks } from './index.ts';
import { discover } from './login-discovery.ts';
import { requireNewTarget } from './login-target.ts';
import { createMetadataSource } from './metadata.ts';

/** What is to be added, by the way it gets its tokens. */
export type Addition =
  | { way: 'entered'; wanted: NewStaticConnection }
  | { way: 'machine'; wanted: NewConnection }
  | { way: 'identity'; wanted: NewIdentityServer };

/** Throws as adding it would: `usage`, and where there is no vault yet also what the server is the reason of. */
export async function requireAddable(settings: Settings, { way, wanted }: Addition): Promise<void> {
  requireNewTarget(wanted);
  const isFirst = !existsSync(settings.database);
  switch (way) {
    case 'entered': {
      const tokens = enteredTokens(wanted.credential, Date.now(), wanted.expiresAt);
      if (isFirst && wanted.probe)
        await probe({ fetchFor: networks(settings) }, wanted.url, tokens, wanted.transport);
      return;
    }
    case 'machine':
      requireMachine(wanted);
      if (isFirst) await requireServer(networks(settings), wanted);
      return;
    case 'identity':
      requireIdentityServer(wanted);
      if (isFirst) throw noIdentities(wanted.source);
  }
}

/** Whether its authorization server is found and takes such a client. */
async function requireServer(fetchFor: FetchFor, wanted: NewConnection): Promise<void> {
  const { url, clientId = '', authMethod, clientSecret, clientKey, generateKey } = wanted;
  const forgetful = { get: async () => undefined, set: async () => {}, delete: async () => {} };
  const context = { fetchFor, metadata: createMetadataSource(forgetful, fetchFor) };
  const settings = { ...DEFAULT_SETTINGS, ...machineSettings(wanted) };
  const { metadata } = await discover(context, url, settings);
  if (generateKey) {
    // Only to see that there is an algorithm the server takes.
    await generateClientKey(metadata.token_endpoint_auth_signing_alg_values_supported);
    return;
  }
  const proof = proofOf({ clientSecret, clientKey });
  clientAuth({
    ...{ clientId, clientSecret, clientKey },
    authMethod: authMethod ?? chooseAuthMethod(metadata, proof),
  });
}
