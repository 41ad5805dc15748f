/** What follows from the MCP server of Coda, as its operator and its users describe it. */
import type { Requirement } from '../requirement.ts';

/** C-a to C-h. */
export const CODA: readonly Requirement[] = [
  {
    id: 'C-a',
    text: 'refreshes although `grant_types_supported` does not list that grant',
    tests: ['quirks/coda > is asked for refreshes although it does not list that grant'],
  },
  {
    id: 'C-b',
    text: '`client_secret_post` and nothing else',
    tests: ['quirks/coda > gets the secret in the body, never in a header'],
  },
  {
    id: 'C-c',
    text: 'asks for the refresh grant when registering, and again without it when refused',
    tests: ['quirks/coda > is asked for a client with the refresh grant first, then for one without'],
  },
  {
    id: 'C-d',
    text: 'keeps when the client secret ends and warns before; a new secret is a new client, and a new login',
    tests: [
      'quirks/coda > is warned of 30, 14 and 3 days before its client secret ends, each time more urgently',
      'quirks/coda > makes a new client at the next login before its secret ends, and the old login serves until then',
    ],
  },
  {
    id: 'C-e',
    text: 'asks for exactly `mcp:all`',
    tests: [
      'quirks/coda > is found by its well-known address, and asked for the very scope and resource it names',
    ],
  },
  {
    id: 'C-f',
    text: 'names the resource to the letter',
    tests: [
      'quirks/coda > is found by its well-known address, and asked for the very scope and resource it names',
    ],
  },
  {
    id: 'C-g',
    text: 'says at the login when there is no refresh token',
    tests: [
      'quirks/coda > that gives no refresh token is told so at once, and warned of from then on',
      'journeys/pasted-redirect > a login without a refresh token works, and says loudly what that means',
    ],
  },
  {
    id: 'C-h',
    text: 'a personal access token as another kind of credential',
    tests: [
      'journeys/credential-kinds > says what is next, and the token comes out of every door as the server wants it',
      'journeys/credential-kinds > warns before its end, and at its end names the command that enters another',
      'journeys/credential-kinds > with --probe is stored only when the server takes it',
    ],
  },
];
