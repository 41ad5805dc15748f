/** What the MCP authorization specification demands of a client that has tokens. */
import type { Requirement } from '../requirement.ts';

/** Points 35 to 46. */
export const KEEPING: readonly Requirement[] = [
  {
    id: '35',
    text: 'the token travels in the `Authorization` header, never in an address',
    demand: 'MUST, 2025-03-26',
    tests: [
      'http/connections > answers a flat object of headers',
      'journeys/login-agent-token > the MCP server takes the token the agent gets',
      'http/authenticate > a key in the query is no key',
    ],
    scenarios: ['auth/metadata-default'],
  },
  {
    id: '36',
    text: 'a token is sent to no server but the one it was issued for',
    demand: 'MUST, 2025-06-18',
    tests: [
      'quirks/token-reach > a token of one server is never shown to another, nor by the broker itself to its own',
    ],
  },
  {
    id: '37',
    text: 'tokens are kept and moved where nobody can read them',
    demand: 'MUST, 2025-03-26',
    tests: [
      'journeys/secrets > none of them is in any output, in any answer that is not theirs, in the vault’s files or in /proc',
      'journeys/secrets > files are for their owner alone',
      'http/listen > is refused when tokens would leave this machine in clear: %s',
    ],
  },
  {
    id: '38',
    text: 'servers rotate refresh tokens: the new one is on disk before the new access token is used',
    demand: 'MUST, 2025-06-18',
    tests: [
      'broker/refresh > is: journal on disk, then the request, then the new pair on disk, then the hand-out',
      'reliability/kill-matrix > %s',
    ],
  },
  {
    id: '39',
    text: 'the client authenticates as its registration was answered, else as the server’s metadata says, whose silence means `client_secret_basic`',
    demand: 'MUST, 2025-06-18',
    tests: [
      'quirks/client-auth > is what the server answered, not what was asked for',
      'quirks/client-auth > the authentication of a registered client > is %s',
    ],
    scenarios: [
      'auth/token-endpoint-auth-basic',
      'auth/token-endpoint-auth-post',
      'auth/token-endpoint-auth-none',
    ],
  },
  {
    id: '40',
    text: '401, 403 and 400 are kept apart; a server’s duty, here that of the daemon towards agents',
    demand: 'MUST, 2025-03-26',
    tests: [
      'http/authenticate > 401 for Authorization: %j',
      'http/authenticate > without the mode token it gets none: 403, but may look',
      'http/problem > is answered 400 when it has %s',
    ],
  },
  {
    id: '41',
    text: '`insufficient_scope` asks for the union of what was granted and what is missing, and never in a loop: here it is a person who is told the command',
    demand: 'SHOULD, 2025-11-25',
    tests: [
      'quirks/resource-and-scope > is answered by the command for a login with all that was granted and what it wants, on record',
      'quirks/resource-and-scope > is asked for nothing by itself: no refresh, no request, however often it says so',
      'quirks/resource-and-scope > but names %s is not helped by a login',
    ],
    scenarios: ['auth/scope-step-up', 'auth/scope-retry-limit'],
  },
  {
    id: '42',
    text: 'the credential of an agent is never passed on upstream, nor is a token of a server taken for one',
    demand: 'MUST, 2025-06-18',
    tests: [
      'quirks/token-reach > the key of an agent goes no further than the daemon',
      'http/authenticate > an access token of the server is no agent key',
    ],
  },
  {
    id: '43',
    text: 'addresses learned from a server lead to no place it could not reach itself, checked at every hop',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/metadata > include the metadata service of a cloud, named as authorization server',
      'quirks/metadata > include the metadata service of a cloud, behind a redirect',
      'oauth/http > must not have %s, and no request is made',
    ],
  },
  {
    id: '44',
    text: 'words and addresses of a server are made harmless before they are shown',
    demand: 'MUST, 2026-07-28',
    tests: [
      'journeys/hostile-text > is tame where a person reads it: broker %j',
      'oauth/failure > cannot move the cursor, forge a line or flood the screen',
      'core/token-set > is kept without control characters, and bounded',
    ],
  },
  {
    id: '45',
    text: 'a scope that was not granted is not asked for again and again, and each such wish is on record',
    demand: 'SHOULD, 2026-07-28',
    tests: [
      'quirks/resource-and-scope > is answered by the command for a login with all that was granted and what it wants, on record',
      'quirks/resource-and-scope > but names %s is not helped by a login',
    ],
  },
  {
    id: '46',
    text: 'a local server wants a key or is a Unix socket',
    demand: 'SHOULD, 2026-07-28',
    tests: [
      'http/authenticate > nothing is answered: %s %s',
      'http/listen > is for its owner alone, and answers whatever the Host is',
    ],
  },
];
