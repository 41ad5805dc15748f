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
  | { kind: 'id_jag'; subjectTokenFile: string; identityProvider: { issuer: string; clientId: string } };

/** The grant in a few words, for show. */
export function describeGrant(grant: Grant): string {
  switch (grant.kind) {
    case 'client_credentials':
      return 'client credentials';
    case 'jwt_bearer':
      return `workload identity from ${grant.assertionFile}`;
    case 'id_jag':
      return `enterprise-managed, with the ID token in ${grant.subjectTokenFile} from ${grant.identityProvider.issuer}`;
  }
}
