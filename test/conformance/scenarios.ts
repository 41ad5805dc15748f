/** Which scenarios of the suite are run, in which revisions of MCP, and what must come of each. */

export interface Scenario {
  /** As the suite calls it. */
  name: string;
  /** Revisions of MCP it is run in. */
  versions: readonly string[];
  expected: Expected;
}

export type Expected =
  /** The agent's tool call is answered. */
  | { kind: 'works' }
  /** The server is bad, the broker must refuse it: `says` is what it gives as reason. */
  | { kind: 'refuses'; says: RegExp }
  /** The suite asks for what the broker does not do. It says so before any token is asked for. */
  | { kind: 'declines'; says: RegExp };

const CURRENT = ['2025-11-25', '2026-07-28'];
const SINCE_2025_06 = ['2025-06-18', ...CURRENT];
const NEWEST = ['2026-07-28'];
const FIRST = ['2025-03-26'];
/** The suite ties extensions to no revision, and how a token is obtained is the same in each. */
const EXTENSION = NEWEST;

/** Either has an end: to count the sign-ins, or to know that the scopes were granted already. */
const LIMITED =
  /^Error: the MCP server refuses the token (after 3 sign-ins|and no other scope would help): 403/m;

const BOUND_TOKENS: Expected = { kind: 'declines', says: /^(config_error|dpop_required): .*DPoP/m };

/** In the order of the suite's own list. */
export const SCENARIOS: readonly Scenario[] = [
  ...works(CURRENT, 'metadata-default', 'metadata-var1', 'metadata-var2', 'metadata-var3', 'basic-cimd'),
  ...works(CURRENT, 'scope-from-www-authenticate', 'scope-from-scopes-supported'),
  ...works(CURRENT, 'scope-omitted-when-undefined', 'scope-step-up'),
  refuses(CURRENT, 'scope-retry-limit', LIMITED),
  ...works(
    SINCE_2025_06,
    'token-endpoint-auth-basic',
    'token-endpoint-auth-post',
    'token-endpoint-auth-none',
  ),
  ...works(CURRENT, 'pre-registration'),
  ...works(FIRST, '2025-03-26-oauth-metadata-backcompat', '2025-03-26-oauth-endpoint-fallback'),
  refuses(NEWEST, 'resource-mismatch', /^resource_mismatch: /m),
  ...works(NEWEST, 'offline-access-scope', 'offline-access-not-supported', 'authorization-server-migration'),
  ...works(NEWEST, 'iss-supported', 'iss-not-advertised'),
  refuses(NEWEST, 'iss-supported-missing', /^callback_invalid: /m),
  refuses(NEWEST, 'iss-wrong-issuer', /^callback_invalid: /m),
  refuses(NEWEST, 'iss-unexpected', /^callback_invalid: /m),
  refuses(NEWEST, 'iss-normalized', /^callback_invalid: /m),
  refuses(NEWEST, 'metadata-issuer-mismatch', /^issuer_mismatch: /m),
  ...works(EXTENSION, 'client-credentials-jwt', 'client-credentials-basic'),
  ...works(EXTENSION, 'enterprise-managed-authorization'),
  { name: 'auth/dpop', versions: EXTENSION, expected: BOUND_TOKENS },
  { name: 'auth/dpop-nonce', versions: EXTENSION, expected: BOUND_TOKENS },
  ...works(EXTENSION, 'wif-jwt-bearer'),
];

function works(versions: string[], ...names: string[]): Scenario[] {
  return names.map((name) => ({ name: `auth/${name}`, versions, expected: { kind: 'works' } }));
}

function refuses(versions: string[], name: string, says: RegExp): Scenario {
  return { name: `auth/${name}`, versions, expected: { kind: 'refuses', says } };
}
