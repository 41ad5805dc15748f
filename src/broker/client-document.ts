/** The client metadata document an operator hosts, made from what this broker will use. */
import { writeClientDocument } from '../core/client-document.ts';
import { publicJwk, readClientKey } from '../oauth/client-key.ts';
import type { Secret } from '../secret.ts';

export interface ClientDocumentRequest {
  /** Where it will be hosted. */
  url: string;
  redirectUris: string[];
  /** Private key for `private_key_jwt`; only its public half goes into the document. */
  clientKey?: Secret | undefined;
}

/** Throws `usage`, and `config_error` for a key that cannot be used. */
export function clientDocument({
  url,
  redirectUris,
  clientKey,
}: ClientDocumentRequest): Record<string, unknown> {
  const jwks = clientKey && { keys: [publicJwk(readClientKey(clientKey))] };
  return writeClientDocument({ url, redirectUris, jwks });
}
