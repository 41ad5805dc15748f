/**
 * How a connection without a person gets its tokens: each time anew, with what a machine has to show. There is no
 * refresh token that could be lost.
 */
export type Grant =
  /** With the client's own credentials (RFC 6749 §4.4; MCP extension OAuth client credentials). */
  | { kind: 'client_credentials' }
  /** With a token the platform puts into a file and renews there (RFC 7523 §2.1; MCP extension workload identity). */
  | { kind: 'jwt_bearer'; assertionFile: string }
  /**
   * With an ID token of a person at an identity provider, exchanged there for a grant at this server (RFC 8693;
   * MCP extension enterprise-managed authorization).
   */
  | { kind: 'id_jag'; subjectTokenFile: string; identityProvider: { issuer: string; clientId: string } }
  /** The access token of the same user's identity connection, as it is: the one named exception to its audience. */
  | { kind: 'forward'; source: string }
  /** The same token exchanged at its issuer for one that is meant for this server (RFC 8693). */
  | { kind: 'exchange'; source: string; way: 'token_exchange' | 'id_jag'; clientRowId?: string };

/** The server whose identity connections these are made from. Undefined: of none. */
export function sourceOf(grant: Grant | null): string | undefined {
  return grant && 'source' in grant ? grant.source : undefined;
}

/** The grant in a few words, for show. */
export function describeGrant(grant: Grant): string {
  switch (grant.kind) {
    case 'client_credentials':
      return 'client credentials';
    case 'jwt_bearer':
      return `workload identity from ${grant.assertionFile}`;
    case 'id_jag':
      return `enterprise-managed, with the ID token in ${grant.subjectTokenFile} from ${grant.identityProvider.issuer}`;
    case 'forward':
      return `the access token of ${grant.source}, forwarded as it is`;
    case 'exchange':
      return `the token of ${grant.source}, exchanged for one of this server`;
  }
}
