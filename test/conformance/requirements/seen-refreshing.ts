/** What servers and clients were seen to do when tokens are refreshed, or end. */
import type { Requirement } from '../requirement.ts';

/** Q1 to Q26. */
export const SEEN_REFRESHING: readonly Requirement[] = [
  {
    id: 'Q1',
    text: 'several processes refresh one rotating token, and the login is revoked',
    seenAt:
      'anthropics/claude-code#91641, anthropics/claude-code#84440, anthropics/claude-code#85236, anomalyco/opencode#34074, anomalyco/opencode#49439',
    tests: [
      'reliability/process-storm > cause one refresh by three daemons on one vault, and none fails',
      'reliability/storm > cause one presentation with three brokers on one vault',
    ],
  },
  {
    id: 'Q2',
    text: 'who was too late deletes the tokens of who was faster',
    seenAt: 'anthropics/claude-code#84440, NousResearch/hermes-agent#105314',
    tests: [
      'reliability/lost-leases > (%s) tells nothing about the newer login',
      'broker/refresh > is not refreshed by the second broker when the first was refused: the verdict holds for both',
    ],
  },
  {
    id: 'Q3',
    text: 'a rotated token is not kept, and an old one is presented days later',
    seenAt: 'anthropics/claude-code#66210, UsefulSoftwareCo/executor#1973',
    tests: [
      'broker/refresh > is: journal on disk, then the request, then the new pair on disk, then the hand-out',
      'reliability/kill-matrix > %s',
    ],
  },
  {
    id: 'Q4',
    text: 'a process that runs goes on with the old token after somebody signed in',
    seenAt: 'openai/codex#14144',
    tests: ['reliability/process-races > its next answer after a broker login has the new token'],
  },
  {
    id: 'Q5',
    text: 'each refresh rotates, reuse ends the grant, and older access tokens die with a refresh',
    seenAt: 'damianvtran/local-operator#345, damianvtran/local-operator#340',
    tests: [
      'quirks/refresh > sees every refresh token once, also where reuse would end the login',
      'quirks/refresh > and ends the older access tokens with it: who was refused gets the newer one without a refresh',
      'broker/scheduler > refreshes a connection in use before its token ends, once',
      'broker/recovery > never causes a second presentation where the server must not be asked twice',
    ],
  },
  {
    id: 'Q6',
    text: 'a used refresh token is good for half an hour more',
    seenAt: 'anthropics/claude-code#85236',
    tests: [
      'quirks/refresh > and forgives a lost answer for %s is asked again within that, with the same token',
    ],
  },
  {
    id: 'Q7',
    text: 'the token before the present one stays good for one step',
    seenAt: 'cloudflare/workers-oauth-provider#214',
    tests: [
      'quirks/refresh > and forgives a lost answer for %s is asked again within that, with the same token',
      'reliability/hostile-server > accepts the predecessor once inside the grace window, and the lost successor dies',
    ],
  },
  {
    id: 'Q8',
    text: 'a lost answer ends the login where nothing is forgiven',
    seenAt: 'PrefectHQ/fastmcp#4264, PrefectHQ/fastmcp#4265',
    tests: [
      'broker/refresh-verdicts > ends in login_required at once when the server then says invalid_grant',
      'broker/scheduler > takes up a refresh that another process began and never finished',
    ],
  },
  {
    id: 'Q9',
    text: 'a refresh answers no refresh token',
    seenAt: 'RFC 6749 §6',
    tests: [
      'quirks/refresh > that brings no refresh token keeps the old one',
      'broker/refresh > keeps the old refresh token when none is returned, and scope and account with it',
    ],
  },
  {
    id: 'Q10',
    text: 'a refresh token is kept but never used',
    seenAt:
      'anthropics/claude-code#21333, anthropics/claude-code#28262, anthropics/claude-code#82513, anthropics/claude-code#76939, openai/codex#17265',
    tests: [
      'broker/scheduler > refreshes a connection in use before its token ends, once',
      'broker/scheduler > leaves a connection that nobody uses alone',
      'reliability/lifetimes > of %s, a connection nobody uses is refreshed once a week',
    ],
  },
  {
    id: 'Q11',
    text: 'an access token ends when it is refreshed, while calls are on their way',
    seenAt: 'PostHog/code#1066',
    tests: [
      'quirks/refresh > and ends the older access tokens with it: who was refused gets the newer one without a refresh',
      'broker/tokens > is answered by the newer token without a refresh when it is not the current one',
    ],
  },
  {
    id: 'Q12',
    text: 'access tokens live for a minute',
    seenAt: 'erp-mafia/accounted#710',
    tests: [
      'quirks/refresh > of a minute is refreshed at its end, not long before',
      'core/refresh-policy > of a minute loses only a tenth of its life to the margin',
      'reliability/lifetimes > of %s, a connection in use is refreshed 11 or 12 times, always ahead',
    ],
  },
  {
    id: 'Q13',
    text: 'refresh tokens die before their time',
    seenAt: 'miroapp/miro-ai#59, lobu-ai/lobu#3625, getsentry/sentry-mcp#920',
    tests: [
      'reliability/lifetimes > of %s, a connection nobody uses is refreshed once a week',
      'broker/check > finds out that it does not',
      'broker/refresh-verdicts > ends the login when it comes again a minute later, after exactly two presentations',
    ],
  },
  {
    id: 'Q14',
    text: 'a server that is down for a moment is taken for a logout',
    seenAt: 'geelen/mcp-remote#349, workos/authkit-js#130, confluentinc/mcp-confluent#195',
    tests: [
      'broker/refresh-verdicts > is retried later after %s, and its journal is closed',
      'broker/scheduler > asks again after a failure when its time has come, without anybody asking',
    ],
  },
  {
    id: 'Q15',
    text: '429 or a firewall’s page is taken for a dead login',
    seenAt: 'n8n-io/n8n#24734, Cellarion#785, bayes-platform#710',
    tests: [
      'broker/refresh-verdicts > is retried when Retry-After says so, and not before',
      'core/verdict > is never one without the words invalid_grant, whatever else it says',
      'quirks/discovery > is not taken for one that publishes nothing when it answers %i',
    ],
  },
  {
    id: 'Q16',
    text: 'a dead refresh token is told in words or with a status of their own',
    seenAt: 'openai/codex#27165, dust-tt/dust#22773, modelcontextprotocol/typescript-sdk#2242',
    tests: [
      'quirks/refresh > ends the login when invalid_grant comes twice with %i',
      'quirks/refresh > ends the login with %i %s where an operator knows what it means',
      'quirks/refresh > %i %s is told by its code, and deletes nothing',
    ],
  },
  {
    id: 'Q17',
    text: 'an error comes with 200',
    seenAt: 'modelcontextprotocol/typescript-sdk#1342, simple-oauth2#459',
    tests: [
      'quirks/refresh > with 200 brings no token, whatever else it holds',
      'quirks/refresh > %i %s is told by its code, and deletes nothing',
    ],
  },
  {
    id: 'Q18',
    text: 'a refresh needs the scope',
    seenAt: 'modelcontextprotocol/typescript-sdk#2718, anthropics/claude-code#89862',
    tests: [
      'quirks/resource-and-scope > is repeated at a refresh where the server demands it, and from then on',
      'quirks/resource-and-scope > is repeated at a refresh from the first on where an operator says so',
    ],
  },
  {
    id: 'Q19',
    text: 'a refresh with `resource` is refused',
    seenAt: 'dust-tt/dust#22773',
    tests: [
      'quirks/resource-and-scope > that is refused at a refresh is left out once more, and from then on',
      'quirks/resource-and-scope > that is refused when the code is redeemed is left out once more, and from then on',
    ],
  },
  {
    id: 'Q20',
    text: 'a refresh without `resource` answers a token for nobody',
    seenAt: 'anomalyco/opencode#34592, casdoor#5744',
    tests: [
      'broker/login > is sent as the metadata spells it, when asking, redeeming and refreshing',
      'reliability/hostile-server > is refused without the resource or by another client, and the token stays good',
    ],
  },
  {
    id: 'Q21',
    text: 'a refresh names the address of the endpoint instead of the resource',
    seenAt: 'modelcontextprotocol/rust-sdk#1084',
    tests: ['quirks/resource-and-scope > is the same string when asking, redeeming and refreshing: %s'],
  },
  {
    id: 'Q22',
    text: 'what a refresh needs was not saved with the login',
    seenAt: 'openclaw/mcporter#244',
    tests: [
      'quirks/refresh > needs nothing but the vault: another process does it while all pages of the server are gone',
      'reliability/kill-matrix > %s',
    ],
  },
  {
    id: 'Q23',
    text: '`expires_in` is missing',
    seenAt: 'dust-tt/dust#22773, LibreChat#13248, PrefectHQ/fastmcp#2534, BerriAI/litellm#30298',
    tests: [
      'quirks/refresh > told as %s is unknown: the token is served until somebody is refused with it',
      'quirks/refresh > not told is the one a JWT holds',
      'http/connections > leaves out what is unknown',
    ],
  },
  {
    id: 'Q24',
    text: '`expires_in` is 0, a text or rubbish',
    seenAt: 'qwen-code#5355',
    tests: [
      'quirks/refresh > told as %s is unknown: the token is served until somebody is refused with it',
      'quirks/refresh > told as text is a lifetime',
      'core/token-set > is unknown for expires_in %j',
    ],
  },
  {
    id: 'Q25',
    text: 'nobody knows when the token came',
    seenAt: 'geelen/mcp-remote#97, geelen/mcp-remote#273',
    tests: [
      'reliability/clock-back > by %s, more than its age, is refreshed once: nobody can tell when it ends',
      'reliability/clock-forward > by %s costs one refresh, for any number of callers',
      'broker/tokens > counts as ended 10 s early, so that it survives the trip',
    ],
  },
  {
    id: 'Q26',
    text: 'an ended token is answered with 400, 403, 500, a redirect or a tool’s error',
    seenAt:
      'PrefectHQ/fastmcp#2461, vercel/mcp-handler#181, freee/freee-mcp#394, GitBook#4280, MediaWiki-MCP#443',
    tests: [
      'broker/tokens > refreshes once when it is the current one, for any number of callers',
      'http/connections > refreshes only when the rejected generation is the current one',
      'broker/tokens > is asked at once when the operator says so',
    ],
  },
];
