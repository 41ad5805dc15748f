/** What a server's connections are made of. Kept with the server, so all its connections are of one kind. */
export const CREDENTIAL_KINDS = [
  'oauth',
  'client_credentials',
  'bearer',
  'headers',
  'identity',
  'none',
] as const;
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

/** Whether the credential was entered by hand and stays as it is until somebody enters another. */
export function isStatic(kind: CredentialKind): boolean {
  return kind === 'bearer' || kind === 'headers' || kind === 'none';
}

/** Whether agents can be given a bearer token. Otherwise they ask for the headers. */
export function hasBearer(kind: CredentialKind): boolean {
  return kind !== 'headers' && kind !== 'none';
}
