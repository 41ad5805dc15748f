/** What the MCP authorization specification demands of a sign-in: who the client is, what it asks, what it believes. */
import type { Requirement } from '../requirement.ts';

/** Points 14 to 34. */
export const SIGNING_IN: readonly Requirement[] = [
  {
    id: '14',
    text: 'the client is the one made by hand, else a metadata document, else a registration, else the operator is asked',
    demand: 'SHOULD, 2025-11-25',
    tests: [
      'quirks/client-choice > a client made by hand comes first',
      'quirks/client-choice > then a metadata document, where the server takes such',
      'quirks/client-choice > then a registration, where the server takes no documents',
      'quirks/client-choice > then the operator is asked for a client',
    ],
  },
  {
    id: '15',
    text: 'a client made by hand can be given',
    demand: 'SHOULD, 2025-11-25',
    tests: [
      'broker/login > takes a client the operator configured, and registers none',
      'quirks/registration > takes a client made by hand, with a page of somebody else to come back to',
    ],
    scenarios: ['auth/pre-registration'],
  },
  {
    id: '16',
    text: 'a client metadata document: its https URL is the client id',
    demand: 'SHOULD, 2025-11-25',
    tests: ['quirks/client-choice > then a metadata document, where the server takes such'],
    scenarios: ['auth/basic-cimd'],
  },
  {
    id: '17',
    text: 'dynamic registration, as long as servers have nothing else',
    demand: 'MAY, 2025-11-25',
    tests: [
      'oauth/registration > works with a real server, and can be taken back',
      'broker/login > uses PKCE with S256, a fresh state, and a loopback redirect that it registered',
    ],
    scenarios: ['auth/token-endpoint-auth-none'],
  },
  {
    id: '18',
    text: 'a registration says `application_type`: `native` for this machine, `web` for a page elsewhere',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/registration > asks for a native client with both grants where the browser comes back to this machine',
      'quirks/registration > asks for a web client where the browser comes back to a page',
    ],
  },
  {
    id: '19',
    text: 'a registration refused for its redirect URI is told, and may be tried with another',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/registration > is tried with localhost where a server does not like an address',
      'quirks/registration > is tried once only with localhost, and the words of the server are shown',
    ],
  },
  {
    id: '20',
    text: 'the registration lists `refresh_token` among its grants',
    demand: 'SHOULD, 2026-07-28',
    tests: [
      'quirks/registration > asks for a native client with both grants where the browser comes back to this machine',
      'oauth/registration > asks for what MCP wants: native, one redirect URI, code and refresh tokens',
    ],
    scenarios: ['auth/offline-access-scope'],
  },
  {
    id: '21',
    text: 'credentials are kept by issuer; a resource that moved is registered anew, and a client made by hand is not sent elsewhere',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/registration > belongs to one issuer: a resource that moves to another never shows that one what the first gave',
      'quirks/registration > by hand belongs to one issuer too: elsewhere the login ends instead of sending it',
    ],
    scenarios: ['auth/authorization-server-migration'],
  },
  {
    id: '22',
    text: 'redirect URIs are registered, and either https or on this machine',
    demand: 'MUST, 2025-06-18',
    tests: [
      'core/redirect > is %j',
      'broker/login > uses PKCE with S256, a fresh state, and a loopback redirect that it registered',
    ],
  },
  {
    id: '23',
    text: 'PKCE with S256',
    demand: 'MUST, 2025-11-25',
    tests: [
      'broker/login > uses PKCE with S256, a fresh state, and a loopback redirect that it registered',
      'reliability/hostile-server > is refused with a wrong %s',
    ],
    scenarios: ['auth/metadata-default'],
  },
  {
    id: '24',
    text: '`state` is sent, and an answer with none or another is discarded',
    demand: 'SHOULD, 2025-06-18',
    tests: [
      'oauth/authorization > that is %s makes it foreign: it is discarded before anything else is looked at',
      'broker/login-answer > is ignored when it has %s, and the right one still counts',
      'journeys/login-ends > is ignored with a warning when its state is wrong, and the login waits on',
    ],
  },
  {
    id: '25',
    text: '`resource` goes along when asking, redeeming and refreshing, whether or not the server knows it',
    demand: 'MUST, 2025-06-18',
    tests: [
      'broker/login > is sent as the metadata spells it, when asking, redeeming and refreshing',
      'quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s',
    ],
    scenarios: ['auth/metadata-default'],
  },
  {
    id: '26',
    text: 'it is the string the metadata names, to the letter',
    demand: 'SHOULD, 2025-06-18',
    tests: ['quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s'],
    scenarios: ['auth/metadata-default'],
  },
  {
    id: '27',
    text: 'the scope of the challenge, else all that the metadata of the resource lists, else none; the one says nothing of the other',
    demand: 'SHOULD, 2025-11-25',
    tests: [
      'quirks/resource-and-scope > of the challenge is asked for as it is, whatever the metadata lists, and no other is invented',
      'broker/login > is what the challenge demands, with offline_access where the server offers it',
      'broker/login > is what the metadata lists where the challenge demands none',
      'broker/login > is left out where nobody names one',
    ],
    scenarios: [
      'auth/scope-from-www-authenticate',
      'auth/scope-from-scopes-supported',
      'auth/scope-omitted-when-undefined',
    ],
  },
  {
    id: '28',
    text: '`offline_access` is added only where the server lists it, and no refresh token is taken for granted',
    demand: 'MAY, 2026-07-28',
    tests: [
      'broker/login > has no offline_access and no prompt where the server does not offer it',
      'broker/login > is reported honestly when the server gives no refresh token',
    ],
    scenarios: ['auth/offline-access-scope', 'auth/offline-access-not-supported'],
  },
  {
    id: '29',
    text: 'what an answer will be judged by, the issuer too, is written down before a person is sent anywhere',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/redirect > is judged by the server its own login was sent to, while another waits at another server',
      'broker/login-answer > ends the login when it names another issuer (RFC 9207)',
    ],
  },
  {
    id: '30',
    text: 'a person is sent to https pages only (http on this machine), and through no shell',
    demand: 'MUST, 2026-07-28',
    tests: [
      'quirks/redirect > is never %s',
      'oauth/server-discovery > because its %s is not safe to call is refused',
    ],
  },
  {
    id: '31',
    text: '`iss` of the answer: compared when it is there, missed when it was announced',
    demand: 'MUST, 2026-07-28',
    tests: [
      'oauth/authorization > the issuer of an answer (RFC 9207 §2.4) > %s',
      'broker/login-answer > ends the login when the issuer is missing although the server always names it',
      'broker/login-answer > may leave out the issuer where the server does not announce it',
    ],
    scenarios: [
      'auth/iss-supported',
      'auth/iss-not-advertised',
      'auth/iss-supported-missing',
      'auth/iss-wrong-issuer',
      'auth/iss-unexpected',
    ],
  },
  {
    id: '32',
    text: 'it is compared as it is, nothing normalised',
    demand: 'MUST, 2026-07-28',
    tests: [
      'oauth/authorization > is compared to the letter: %s is another',
      'broker/login-answer > may be a query string whose issuer is not encoded, as RFC 3986 allows',
    ],
    scenarios: ['auth/iss-normalized'],
  },
  {
    id: '33',
    text: 'an error in an answer with the wrong `iss` is neither acted on nor shown',
    demand: 'MUST, 2026-07-28',
    tests: ['oauth/authorization > is judged before an error, whose words are not shown'],
  },
  {
    id: '34',
    text: 'the order is `state`, `iss`, error, code; no code leaves before `iss` has passed',
    demand: 'MUST, 2026-07-28',
    tests: [
      'oauth/authorization > that is %s makes it foreign: it is discarded before anything else is looked at',
      'oauth/authorization > is judged before an error, whose words are not shown',
      'oauth/authorization > with an error and a code is an error',
      'quirks/redirect > is judged by the server its own login was sent to, while another waits at another server',
    ],
  },
];
