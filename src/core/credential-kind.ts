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

const WORDS: Record<CredentialKind, string> = {
  oauth: 'the login of a person',
  client_credentials: 'a machine’s own credentials',
  bearer: 'a token that was entered by hand',
  headers: 'headers that were entered by hand',
  identity: 'made from logins of users',
  none: 'no credential at all',
};

/** The kind in a few words, for people. */
export function describeKind(kind: CredentialKind): string {
  return WORDS[kind];
}
