/** A machine's client at a real provider, whose keys its operator may change afterwards (RFC 7591, RFC 7592). */
import { generateKeyPairSync } from 'node:crypto';

export interface RegisteredMachine {
  clientId: string;
  /** Enters these public keys at the provider, in place of those it had. */
  enterKeys(jwks: unknown): Promise<void>;
}

/** Registers one for `private_key_jwt`, with a key that nobody has kept. */
export async function registerMachine(issuer: string): Promise<RegisteredMachine> {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const metadata = {
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [publicKey.export({ format: 'jwk' })] },
  };
  const registered = await send('POST', `${issuer}/reg`, metadata);
  const { client_id, registration_client_uri, registration_access_token } = registered;
  const clientId = String(client_id);
  return {
    clientId,
    async enterKeys(jwks) {
      const changed = { ...metadata, client_id: clientId, jwks };
      await send('PUT', String(registration_client_uri), changed, String(registration_access_token));
    },
  };
}

async function send(
  method: string,
  url: string,
  body: object,
  token?: string,
): Promise<Record<string, unknown>> {
  const answer = await fetch(url, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the provider answered ${answer.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}
