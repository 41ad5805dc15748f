/** What the MCP authorization specification demands, up to the authorization server and what it says of itself. */
import type { Requirement } from '../requirement.ts';

/** Points 1 to 13. */
export const FINDING: readonly Requirement[] = [
  {
    id: '1',
    text: 'the `WWW-Authenticate` of a 401 is read and acted on',
    demand: 'MUST, 2025-06-18',
    tests: [
      'oauth/resource-discovery > is looked for at the URL of the challenge, then with the path, then at the root',
      'quirks/discovery > is found by a challenge written %s',
    ],
    scenarios: ['auth/metadata-default'],
  },
  {
    id: '2',
    text: 'the metadata of the resource says which authorization server guards it',
    demand: 'MUST, 2025-06-18',
    tests: [
      'quirks/discovery > is the one the resource names, also where its host has metadata of another',
      'oauth/resource-discovery > of a real server is found: %s',
    ],
  },
  {
    id: '3',
    text: 'a `resource_metadata` in the challenge is where that metadata is looked for, wherever it leads',
    demand: 'MUST, 2025-06-18',
    tests: [
      'oauth/resource-discovery > is looked for at the URL of the challenge, then with the path, then at the root',
      'quirks/discovery > is found by metadata on another host that the challenge names',
    ],
    scenarios: ['auth/metadata-var3'],
  },
  {
    id: '4',
    text: 'without it: the well-known address with the path of the endpoint, then the one at the root',
    demand: 'MUST, 2025-11-25',
    tests: [
      'oauth/resource-discovery > is looked for at the URL of the challenge, then with the path, then at the root',
      'oauth/resource-discovery > is not looked for any further once it is found',
    ],
    scenarios: ['auth/metadata-var1', 'auth/metadata-var2'],
  },
  {
    id: '5',
    text: 'that metadata names at least one authorization server, and the client chooses among several',
    demand: 'MUST, 2025-06-18',
    tests: [
      'oauth/resource-discovery > is looked for at the next place after %s',
      'quirks/discovery > is the next one announced where the first cannot be used',
      'quirks/discovery > stays the one of the present login, wherever it stands among several',
    ],
  },
  {
    id: '6',
    text: 'what one authorization server gave is never shown to another',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/registration > belongs to one issuer: a resource that moves to another never shows that one what the first gave',
      'vault/clients > is found by its exact issuer, the newest first',
    ],
    scenarios: ['auth/authorization-server-migration'],
  },
  {
    id: '7',
    text: 'metadata that names a resource which is not the one asked about is thrown away',
    demand: 'MUST, 2025-06-18',
    tests: [
      'oauth/resource-discovery > may not be %s: a token for the one must not reach the other',
      'journeys/bad-server > describes another resource exits 2 and shows both',
    ],
    scenarios: ['auth/resource-mismatch'],
  },
  {
    id: '8',
    text: 'servers of the first revision: metadata at the root of the host, else the default endpoints',
    demand: 'MUST, 2025-03-26',
    tests: [
      'quirks/discovery > is signed in to by the metadata at its root',
      'quirks/discovery > is signed in to by the usual endpoints where it publishes nothing',
    ],
    scenarios: ['auth/2025-03-26-oauth-metadata-backcompat', 'auth/2025-03-26-oauth-endpoint-fallback'],
  },
  {
    id: '9',
    text: 'an issuer with a path is looked up in three forms, in order',
    demand: 'MUST, 2025-11-25',
    tests: ['oauth/server-discovery > asks at three places for an issuer with a path, never at the root'],
    scenarios: ['auth/metadata-var2', 'auth/metadata-var3'],
  },
  {
    id: '10',
    text: 'an issuer without a path is looked up in two forms; the root is not asked for an issuer with a path',
    demand: 'MUST, 2025-11-25',
    tests: [
      'oauth/server-discovery > asks at two places for an issuer without a path',
      'oauth/server-discovery > asks at three places for an issuer with a path, never at the root',
    ],
    scenarios: ['auth/metadata-var1'],
  },
  {
    id: '11',
    text: 'a document that does not name exactly the issuer it was looked up for is not used',
    demand: 'MUST, 2026-07-28',
    tests: [
      'oauth/server-discovery > that differs by %s is refused, both shown',
      'journeys/bad-server > names another issuer exits 2 and shows both',
      'quirks/metadata > %s is refused until an operator vouches for it, and then remembered',
    ],
    scenarios: ['auth/metadata-issuer-mismatch'],
  },
  {
    id: '12',
    text: 'a server that does not announce PKCE with S256 is not signed in to',
    demand: 'MUST, 2025-11-25',
    tests: [
      'oauth/server-discovery > because it %s is refused',
      'quirks/metadata > announced nowhere ends the login before anything is registered',
      'journeys/bad-server > offers no PKCE exits 2',
    ],
  },
  {
    id: '13',
    text: 'all endpoints are https; plain http is for this machine only',
    demand: 'MUST, 2025-03-26',
    tests: [
      'quirks/metadata > include the %s of an authorization server, when it is not encrypted',
      'oauth/server-discovery > because its %s is not safe to call is refused',
      'journeys/bad-server > names an endpoint without encryption exits 2',
    ],
  },
];
