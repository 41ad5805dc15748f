/** What servers and clients were seen to do when clients are registered, and say who they are. */
import type { Requirement } from '../requirement.ts';

/** Q27 to Q43. */
export const SEEN_REGISTERING: readonly Requirement[] = [
  {
    id: 'Q27',
    text: 'a forgotten client is shown a page, and nobody comes back',
    seenAt: 'supabase/mcp#355, anthropics/claude-code#84614, geelen/mcp-remote#36',
    tests: [
      'quirks/registration-lost > shows a page instead of coming back: the end of the wait names the way out, which works',
    ],
  },
  {
    id: 'Q28',
    text: 'a server clears out its clients and blames the redirect URI',
    seenAt: 'diillson/chatcli#1308',
    tests: [
      'quirks/registration-lost > shows a page instead of coming back: the end of the wait names the way out, which works',
    ],
  },
  {
    id: 'Q29',
    text: 'an unknown client is a 400',
    seenAt: 'PrefectHQ/fastmcp#1762',
    tests: [
      'quirks/registration-lost > is known by invalid_client with %i, and the next login makes a new one',
    ],
  },
  {
    id: 'Q30',
    text: 'the secret of a client ends',
    seenAt: 'modelcontextprotocol/python-sdk#3256, speakeasy-api/gram#6341',
    tests: [
      'quirks/registration-lost > whose secret ends soon is made anew by the next login, and before that a check warns',
    ],
  },
  {
    id: 'Q31',
    text: 'a server answers a registration with an ended one it remembers',
    seenAt: 'freee/freee-mcp#519',
    tests: [
      'quirks/registration > that a server answers with an ended one of ours is asked for in other words',
    ],
  },
  {
    id: 'Q32',
    text: 'every login leaves another registration behind',
    seenAt: 'whoz-oss/coday#1265, vellum-ai#40497',
    tests: [
      'quirks/registration > is used again at the next login, by another process too, with the very redirect URI',
      'broker/login-again > uses the registration and the port of the first time',
    ],
  },
  {
    id: 'Q33',
    text: 'a client registered without the refresh grant may not refresh',
    seenAt: 'stacklok/toolhive#3078',
    tests: [
      'quirks/registration > asks for a native client with both grants where the browser comes back to this machine',
    ],
  },
  {
    id: 'Q34',
    text: 'the authentication answered is not the one wanted',
    seenAt: 'openai/codex#40928',
    tests: [
      'quirks/client-auth > is what the server answered, not what was asked for',
      'oauth/registration > believes the method the server answers, not the one we asked for',
    ],
  },
  {
    id: 'Q35',
    text: 'a secret comes with the method `none`, and is then demanded',
    seenAt: 'NousResearch/hermes-agent#73141',
    tests: [
      'quirks/client-auth > is tried once with a secret that came although none was wanted, and kept when it works',
      'quirks/client-auth > that is refused in every way is tried no more than twice',
    ],
  },
  {
    id: 'Q36',
    text: 'a server takes only public clients, or only one of the two ways to send a secret',
    seenAt: 'claude-ai-mcp#1043, mcp-oauth-proxy#52',
    tests: [
      'quirks/client-auth > the authentication of a registered client > is %s',
      'oauth/client-auth > of %j is %s',
    ],
  },
  {
    id: 'Q37',
    text: 'credentials in two places are refused',
    seenAt: 'onyx#12874',
    tests: [
      'quirks/client-auth > the authentication of a registered client > is %s',
      'oauth/refresh > proves the client in one place only with %s',
    ],
  },
  {
    id: 'Q38',
    text: 'an empty secret is refused',
    seenAt: 'NangoHQ/nango#6919',
    tests: [
      'quirks/client-auth > is none where the secret answered is empty, which is not sent',
      'oauth/registration > takes an empty secret for none',
    ],
  },
  {
    id: 'Q39',
    text: 'a registration is answered with nulls and gaps',
    seenAt: 'sigbit/mcp-auth-proxy#173, agentgateway#1936',
    tests: [
      'quirks/registration > that is answered with 200, nulls and gaps is the one that was wanted',
      'oauth/registration > takes null for absent, and 0 for a secret that never ends',
    ],
  },
  {
    id: 'Q40',
    text: 'a registration is answered with 200',
    seenAt: 'modelcontextprotocol/typescript-sdk',
    tests: [
      'quirks/registration > that is answered with 200, nulls and gaps is the one that was wanted',
      'oauth/registration > accepts 200 instead of 201',
    ],
  },
  {
    id: 'Q41',
    text: 'registration is for those on a list: 403 and plain words',
    seenAt: 'anthropics/claude-code#74768, geelen/mcp-remote#186, appstrate#602',
    tests: [
      'quirks/registration > that is refused is told with status and words, and with what to ask for',
      'journeys/bad-server > refuses to register us exits 2 with its status, its reason in short, and what to do',
    ],
  },
  {
    id: 'Q42',
    text: 'there is no registration',
    seenAt:
      'openai/codex#13200, anthropics/claude-code#52354, NousResearch/hermes-agent#112023, github/github-mcp-server#1404, anomalyco/opencode#6067',
    tests: [
      'quirks/registration > takes a client made by hand, with a page of somebody else to come back to',
      'quirks/registration > is told with what to ask its operator for',
    ],
  },
  {
    id: 'Q43',
    text: 'HTTP Basic is not decoded',
    seenAt: 'AppAuth-Android#337, panva/openid-client#236',
    tests: [
      'quirks/client-auth > gets it as it is where an operator says so, also at each refresh',
      'quirks/client-auth > is encoded like a form in the header (RFC 6749 §2.3.1)',
      'quirks/client-auth > goes into the body where both are offered',
    ],
  },
];
