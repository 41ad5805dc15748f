/**
 * Who can call with what: each kind of caller with each kind of credential, from the real daemon to an MCP server that
 * lets nobody in without it (but for `none`).
 *
 *                                       oauth  client_credentials  bearer  identity  headers  none
 *   curl, GET …/headers                   ✔            ✔             ✔        ✔         ✔       ✔
 *   headersHelper (Claude Code)           ✔            ✔             ✔        ✔         ✔       ✔
 *   client library: brokerFetch           ✔            ✔             ✔        ✔         ✔       ✔
 *   client library: brokerAuth            ✔            ✔             ✔        ✔         –       –
 *   curl -u, POST /oauth/token            ✔            ✔             ✔        ✔         –       –
 *   openid-client                         ✔            ✔             ✔        ✔         –       –
 *   MCP SDK v1 and v2, unmodified         ✔            ✔             ✔        ✔         –       ✔
 *   broker exec                           ✔            ✔             ✔        ✔         –       –
 *
 * –: it takes tokens alone, and there is none. It is told so. (An SDK asks for a token once a server wants one, but
 * for v2 with an `AuthProvider`, which asks at once.)
 */
import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as openid from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Broker } from '../../src/broker/index.ts';
import { brokerAuth, brokerFetch } from '../../src/client/index.ts';
import type { StaticCredential } from '../../src/core/entered.ts';
import { fillIn } from '../../src/core/runtimes.ts';
import { Secret } from '../../src/secret.ts';
import { newAgent } from '../support/agents.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { type IdentityWorld, startIdentityWorld } from '../support/identity-world.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import { whoami } from '../support/mcp-client.ts';
import { initializeWith } from '../support/mcp-initialize.ts';
import { withBroker } from '../support/prepare.ts';
import { signIn } from '../support/sign-in.ts';
import {
  connectV1,
  connectV2,
  STOCK_MCP_CLIENTS,
  type StockAgent,
  type StockClient,
} from '../support/stock-mcp-clients.ts';

/** An agent that may use one connection and nothing else. */
interface Agent extends StockAgent {
  connection: string;
  /** Its environment. */
  env: Record<string, string>;
}

/** Whose credential it is, as the MCP server says; `nobody` for machines, and where it knows no people. */
const KINDS = {
  oauth: 'alice',
  client_credentials: 'nobody',
  bearer: 'nobody',
  identity: 'alice',
  headers: 'nobody',
  none: 'nobody',
} as const;
type Kind = keyof typeof KINDS;

const WITH_TOKEN = ['oauth', 'client_credentials', 'bearer', 'identity'] as const satisfies Kind[];
const WITHOUT_TOKEN = ['headers', 'none'] as const satisfies Kind[];

const BIN = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));
const HELPER = readFileSync(new URL('../../runtimes/claude-code.json', import.meta.url), 'utf8');

let world: IdentityWorld;
let servers: Record<'bearer' | 'headers' | 'none', HeaderServer>;
let daemonUrl: string;
const agents = {} as Record<Kind, Agent>;

/** Everything the callers have in common is made in this process; the daemon is the real program. */
beforeAll(async () => {
  world = await startIdentityWorld(withMachines());
  const [bearer, headers, none] = await Promise.all([
    startHeaderServer({ authorization: 'Bearer fake-pat' }),
    startHeaderServer({ 'x-api-key': 'fake-key', 'x-team': 'blue' }),
    startHeaderServer(),
  ]);
  servers = { bearer, headers, none };
  const { journey } = world;
  const places = await withBroker(journey, connect);
  daemonUrl = (await journey.serve()).url;
  for (const [kind, { connection, mcpUrl, key }] of Object.entries(places)) {
    agents[kind as Kind] = {
      ...{ connection, mcpUrl, key, name: nameOf(connection), issuer: `${daemonUrl}/oauth` },
      env: { BROKER_URL: daemonUrl, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' },
    };
  }
  symlinkSync(BIN, join(journey.home.path, 'broker'));
}, 60_000);

afterAll(async () => {
  await world.close();
  await Promise.all(Object.values(servers).map((server) => server.close()));
});

/** Of the agent that may use this connection and nothing else. */
const nameOf = (connection: string) => `${connection.replace('@', '-of-')}-bot`;

/** Makes a connection of each kind, and an agent for each. */
async function connect(broker: Broker) {
  const { authorizationServer, mcp } = world.journey;
  await signIn(broker, authorizationServer, mcp.url);
  await broker.add(byPost(mcp.url, { name: 'machine' }));
  await signIn(broker, authorizationServer, world.corp, { name: 'corp', account: 'alice' });
  await broker.addIdentity({ name: 'internal', url: world.internal.url, source: 'corp', mode: 'forward' });
  const enter = (name: keyof typeof servers, credential: StaticCredential) =>
    broker.addStatic({ name, url: servers[name].url, credential, probe: true });
  const header = (name: string, value: string) => ({
    header: { name, template: '{{token}}' },
    value: new Secret(value),
  });
  await enter('bearer', { kind: 'bearer', token: new Secret('fake-pat') });
  await enter('headers', {
    kind: 'headers',
    headers: [header('X-Api-Key', 'fake-key'), header('X-Team', 'blue')],
  });
  await enter('none', { kind: 'none' });
  const agentFor = async (connection: string, mcpUrl: string) => {
    const { key } = await broker.agents.add(newAgent({ name: nameOf(connection), allow: [connection] }));
    return { connection, mcpUrl, key: key.reveal() };
  };
  return {
    oauth: await agentFor('demo', mcp.url),
    client_credentials: await agentFor('machine', mcp.url),
    bearer: await agentFor('bearer', servers.bearer.url),
    identity: await agentFor('internal@alice', world.internal.url),
    headers: await agentFor('headers', servers.headers.url),
    none: await agentFor('none', servers.none.url),
  };
}

/** How a caller gets at whoever it is for the MCP server. Rejects with what it is told when it cannot. */
type Call = (agent: Agent) => Promise<string | undefined>;

/** Options of the client library. */
const library = ({ connection, key }: Agent) => ({ connection, key, url: daemonUrl });

/** Callers that send whatever headers there are. */
const ANY_KIND: Record<string, Call> = {
  'curl, GET …/headers': async ({ key, connection, mcpUrl }) => {
    const route = `${daemonUrl}/v1/connections/${connection}/headers`;
    return whoami(mcpUrl, await curl('-H', `Authorization: Bearer ${key}`, route));
  },
  'headersHelper of Claude Code': async ({ connection, env, mcpUrl }) => {
    const facts = { connection, daemonUrl, serverUrl: mcpUrl };
    const [entry] = Object.values<{ url: string; headersHelper: string }>(
      JSON.parse(fillIn(HELPER, 'token', facts, String)).mcpServers,
    );
    if (!entry) throw new Error('no server is configured');
    const { home } = world.journey;
    const PATH = [home.path, dirname(process.execPath), home.env.PATH].join(':');
    const options = { env: { ...home.env, ...env, PATH } };
    const { stdout } = await promisify(execFile)('sh', ['-c', entry.headersHelper], options);
    return whoami(entry.url, JSON.parse(stdout));
  },
  'client library, brokerFetch with SDK v1': (agent) =>
    whoamiBy(connectV1(agent, { fetch: brokerFetch(library(agent)) })),
  'client library, brokerFetch with SDK v2': (agent) =>
    whoamiBy(connectV2(agent, { fetch: brokerFetch(library(agent)) })),
};

/** What callers that know bearer tokens alone hear where there is none. */
interface Refusals {
  headers: RegExp;
  /** The word `called`: they do not ask where nobody wants a token. */
  none: RegExp | 'called';
}

/** Callers that know bearer tokens alone. */
const TOKEN_ALONE: Record<string, [Call, Refusals]> = {
  'client library, brokerAuth with SDK v2': [
    (agent) => whoamiBy(connectV2(agent, { authProvider: brokerAuth(library(agent)) })),
    both(/has no bearer token \(its kind is (headers|none)\)/),
  ],
  'curl -u, POST /oauth/token': [
    async ({ issuer, name, key, mcpUrl }) => {
      const grant = ['-d', 'grant_type=client_credentials', '--data-urlencode', `resource=${mcpUrl}`];
      const answer = await curl('-u', `${name}:${key}`, ...grant, `${issuer}/token`);
      if (answer.error) throw new Error(answer.error_description);
      return whoami(mcpUrl, { Authorization: `Bearer ${answer.access_token}` });
    },
    both(/^no connection of this agent is what the request names/),
  ],
  'openid-client, from discovery on': [
    async ({ issuer, name, key, mcpUrl }) => {
      const options = { algorithm: 'oauth2' as const, execute: [openid.allowInsecureRequests] };
      const basic = openid.ClientSecretBasic(key);
      const config = await openid.discovery(new URL(issuer), name, {}, basic, options);
      const { access_token } = await openid.clientCredentialsGrant(config, { resource: mcpUrl });
      return whoami(mcpUrl, { Authorization: `Bearer ${access_token}` });
    },
    both(/server responded with an error/),
  ],
  ...Object.fromEntries(
    Object.entries(STOCK_MCP_CLIENTS).map(([name, connect]): [string, [Call, Refusals]] => [
      `unmodified ${name}`,
      [
        (agent) => whoamiBy(connect(agent)),
        {
          headers: /no connection of this agent/,
          none: name === 'SDK v2 with an AuthProvider' ? /no connection of this agent/ : 'called',
        },
      ],
    ]),
  ),
  'broker exec': [
    async ({ connection, env, mcpUrl }) => {
      const program = ['--', process.execPath, '-p', 'process.env.MCP_ACCESS_TOKEN'];
      const { code, stdout, stderr } = await world.journey.run(['exec', connection, ...program], { env });
      if (code !== 0) throw new Error(`${code} ${stderr}`);
      return whoami(mcpUrl, { Authorization: `Bearer ${stdout.trim()}` });
    },
    both(/^125 error: .* has no bearer token/),
  ],
};

describe.concurrent.each(Object.entries(ANY_KIND))('%s', (_, call) => {
  it.each([...WITH_TOKEN, ...WITHOUT_TOKEN])('calls with %s', async (kind) => {
    expect(await call(agents[kind])).toBe(KINDS[kind]);
  });
});

describe.concurrent.each(Object.entries(TOKEN_ALONE))('%s', (_, [call, refusals]) => {
  it.each(WITH_TOKEN)('calls with %s', async (kind) => {
    expect(await call(agents[kind])).toBe(KINDS[kind]);
  });

  it.each(WITHOUT_TOKEN)('is told that there is no token for %s, if it needs one', async (kind) => {
    const refusal = refusals[kind];
    if (refusal === 'called') expect(await call(agents[kind])).toBe(KINDS[kind]);
    else await expect(call(agents[kind])).rejects.toThrow(refusal);
  });
});

it('each of these servers lets nobody in without the credential', async () => {
  const urls = [...WITH_TOKEN, 'headers' as const].map((kind) => agents[kind].mcpUrl);
  expect(await Promise.all(urls.map((url) => initializeWith(url, {})))).toEqual(urls.map(() => 401));
});

function both(refusal: RegExp): Refusals {
  return { headers: refusal, none: refusal };
}

async function whoamiBy(connecting: Promise<StockClient>): Promise<string | undefined> {
  const client = await connecting;
  return client.callTool('whoami').finally(() => client.close());
}

async function curl(...args: string[]): Promise<Record<string, string>> {
  return JSON.parse((await promisify(execFile)('curl', ['-sS', ...args])).stdout);
}
