/** Client authentication at the token endpoint that this broker speaks, best first (RFC 7591 §2, RFC 7523 §2.2). */
export const AUTH_METHODS = ['none', 'private_key_jwt', 'client_secret_post', 'client_secret_basic'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** What a client has to authenticate with decides which methods it can use. */
export type ClientProof = 'none' | 'secret' | 'key';

/** The methods for a proof, best first. */
export function methodsFor(proof: ClientProof): AuthMethod[] {
  if (proof === 'none') return ['none'];
  return proof === 'key' ? ['private_key_jwt'] : ['client_secret_post', 'client_secret_basic'];
}
