/** What servers and clients were seen to do when somebody signs in. */
import type { Requirement } from '../requirement.ts';

/** Q44 to Q70. */
export const SEEN_SIGNING_IN: readonly Requirement[] = [
  {
    id: 'Q44',
    text: 'the issuer has a slash more or less than announced',
    seenAt:
      'modelcontextprotocol/python-sdk#1919, anomalyco/opencode#50036, expo#49053, NousResearch/hermes-agent#95508, vercel/ai#20236',
    tests: [
      'quirks/metadata > %s is refused until an operator vouches for it, and then remembered',
      'oauth/server-discovery > with a trailing slash is fine when it was announced so',
    ],
  },
  {
    id: 'Q45',
    text: 'the issuer is another host than announced',
    seenAt: 'atlassian-mcp-server#205, SmartBear/smartbear-mcp#682',
    tests: ['quirks/metadata > %s is refused until an operator vouches for it, and then remembered'],
  },
  {
    id: 'Q46',
    text: 'the MCP host has metadata of another authorization server',
    seenAt: 'higgsfield-ai/cli#81, openai/codex#40885',
    tests: ['quirks/discovery > is the one the resource names, also where its host has metadata of another'],
  },
  {
    id: 'Q47',
    text: 'endpoints are on another origin than the issuer',
    seenAt: 'CodSpeed#523, openai/codex#38944',
    tests: [
      'quirks/metadata > may have its endpoints on another origin',
      'oauth/server-discovery > does not exist because its endpoints are on other hosts',
    ],
  },
  {
    id: 'Q48',
    text: '`iss` is lost on the way back',
    seenAt: 'openai/codex#31573, openai/codex#32472',
    tests: [
      'quirks/redirect > keeps its whole query, the issuer included',
      'quirks/redirect > that lost its issuer on the way is refused, with the advice to paste it whole',
      'quirks/redirect > may be the code alone, but not where the server says whose an answer is',
    ],
  },
  {
    id: 'Q49',
    text: 'the resource is http behind a proxy, or has another slash',
    seenAt: 'mesh-mcp#20, microsoft/vscode#259251',
    tests: [
      'quirks/metadata > is refused where a proxy in front has made it another scheme, until an operator vouches for it',
      'quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s',
    ],
  },
  {
    id: 'Q50',
    text: 'the resource is only the origin',
    seenAt: 'modelcontextprotocol/python-sdk#1264',
    tests: [
      'quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s',
      'oauth/resource-discovery > may be %s, and is kept to the letter',
    ],
  },
  {
    id: 'Q51',
    text: 'the metadata of the resource is on another host',
    seenAt: 'claude-ai-mcp#560',
    tests: ['quirks/discovery > is found by metadata on another host that the challenge names'],
  },
  {
    id: 'Q52',
    text: 'two addresses in the challenge, the first a dead one',
    seenAt: 'getsentry/sentry-mcp#939',
    tests: ['quirks/discovery > is found behind a dead address that came first in the challenge'],
  },
  {
    id: 'Q53',
    text: 'the challenge is written oddly, or another scheme comes first',
    seenAt: 'qwen-code#5343, modelcontextprotocol/python-sdk#3012, toolport#598',
    tests: [
      'quirks/discovery > is found by a challenge written %s',
      'core/challenge > never throw and end for any text, however odd',
    ],
  },
  {
    id: 'Q54',
    text: 'a page instead of metadata, of an app or a guard against robots',
    seenAt: 'outline#11572, appstrate#702, anthropics/claude-code#72673',
    tests: [
      'quirks/discovery > is found at the next place after %s',
      'journeys/bad-server > publishes a page instead of metadata exits 2',
    ],
  },
  {
    id: 'Q55',
    text: '406 or an error of JSON-RPC instead of metadata',
    seenAt: 'stacklok/toolhive#4366',
    tests: ['quirks/discovery > is found at the next place after %s'],
  },
  {
    id: 'Q56',
    text: 'a server that is out of order hides the cause',
    seenAt: 'modelcontextprotocol/typescript-sdk',
    tests: [
      'quirks/discovery > is not taken for one that publishes nothing when it answers %i',
      'oauth/server-discovery > tells a server that is out of order from one that has nothing to say',
    ],
  },
  {
    id: 'Q57',
    text: 'PKCE works, but is not announced',
    seenAt:
      'modelcontextprotocol/typescript-sdk#832, modelcontextprotocol/typescript-sdk#2831, vercel/ai#18674, modelcontextprotocol/csharp-sdk#1700',
    tests: [
      'quirks/metadata > announced in the second document only is enough',
      'quirks/metadata > announced nowhere ends the login before anything is registered',
      'quirks/metadata > announced nowhere is used all the same where an operator knows better',
    ],
  },
  {
    id: 'Q58',
    text: '`resource` beside a scope is refused',
    seenAt: 'geelen/mcp-remote#217, powerbi-modeling-mcp#68, modelcontextprotocol/modelcontextprotocol#1389',
    tests: ['quirks/resource-and-scope > is named nowhere where an operator says so, also at the next login'],
  },
  {
    id: 'Q59',
    text: 'a slash is added to the resource',
    seenAt: 'anthropics/claude-code#52871, modelcontextprotocol/typescript-sdk#1968',
    tests: ['quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s'],
  },
  {
    id: 'Q60',
    text: 'the audience is compared strictly',
    seenAt: 'cloudflare/workers-oauth-provider#108',
    tests: ['quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s'],
  },
  {
    id: 'Q61',
    text: '`offline_access` is refused',
    seenAt: 'anthropics/claude-code#41610',
    tests: ['broker/login > has no offline_access and no prompt where the server does not offer it'],
    scenarios: ['auth/offline-access-not-supported'],
  },
  {
    id: 'Q62',
    text: 'no refresh token without a prompt for consent',
    seenAt: 'better-auth#3411',
    tests: ['broker/login > is what the challenge demands, with offline_access where the server offers it'],
  },
  {
    id: 'Q63',
    text: 'a refresh token comes without `offline_access`',
    seenAt: 'supabase/auth#2628',
    tests: [
      'quirks/resource-and-scope > without offline_access says nothing of the refresh token: nobody is warned of one that came',
    ],
  },
  {
    id: 'Q64',
    text: 'scopes of OpenID that nobody wanted are refused',
    seenAt: 'cloudflare/mcp-server-cloudflare#457, geelen/mcp-remote#204',
    tests: [
      'quirks/resource-and-scope > has no OpenID scopes where nobody names them: it is left out',
      'quirks/resource-and-scope > of the challenge is asked for as it is, whatever the metadata lists, and no other is invented',
    ],
  },
  {
    id: 'Q65',
    text: '`127.0.0.1` is refused, or `localhost` is',
    seenAt: 'pi-mcp-adapter#60, NousResearch/hermes-agent#29875, nsflow#233, apify/mcpc#269',
    tests: [
      'quirks/registration > is tried with localhost where a server does not like an address',
      'quirks/redirect > may be localhost by name from the start, and is heard at it',
    ],
  },
  {
    id: 'Q66',
    text: 'the port must be the one that was registered',
    seenAt:
      'cloudflare/workers-oauth-provider#154, giantswarm/mcp-oauth#265, thephpleague/oauth2-server#1515, anthropics/claude-code#90370',
    tests: [
      'quirks/redirect > has the one port that was registered, at every login',
      'quirks/registration > is used again at the next login, by another process too, with the very redirect URI',
    ],
  },
  {
    id: 'Q67',
    text: 'the browser goes to the other of the two loopback addresses, or somebody else has the port',
    seenAt:
      'can1357/oh-my-pi#8081, can1357/oh-my-pi#8982, anomalyco/opencode#31824, anomalyco/opencode#30013, geelen/mcp-remote#259',
    tests: [
      'quirks/redirect > is not given up for another port when somebody has taken it',
      'oauth/loopback > that is taken is refused with what to do',
      'oauth/loopback-place > for localhost is closed on both',
      'journeys/login-ends > exits 3 while its callback port is taken, and says so',
    ],
  },
  {
    id: 'Q68',
    text: 'there is no browser on this machine',
    seenAt: 'geelen/mcp-remote#228',
    tests: [
      'journeys/pasted-redirect > a redirect pasted from a browser on another machine ends the login',
      'quirks/redirect > keeps its whole query, the issuer included',
    ],
  },
  {
    id: 'Q69',
    text: 'a 401 of the broker sends clients into discovery',
    seenAt: 'stacklok/toolhive#4721',
    tests: [
      'http/authenticate > the challenge starts no OAuth: it names no metadata',
      'http/problem > is answered 503 with Retry-After while the provider is down',
      'http/problem > is answered 409 login_required when the login has ended',
    ],
  },
  {
    id: 'Q70',
    text: 'web pages have no business here',
    tests: [
      'http/guard > the Origin of a call > is refused: %j',
      'http/guard > is not to be stored, and opens nothing to web pages: %s',
    ],
  },
];
