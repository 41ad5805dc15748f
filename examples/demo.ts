/**
 * The main job, shown on real servers: `npm run demo`.
 *
 * Starts an OAuth authorization server (oidc-provider, refresh tokens used once only) and an MCP server (the
 * official SDK) on this machine, signs in without a browser, and lets an agent work past the end of its token.
 * The broker is the built program, run as a person would run it.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type AuthorizationServer, startAuthorizationServer } from '../test/support/authorization-server.ts';
import { runBroker, startBroker } from '../test/support/broker-process.ts';
import { createHome } from '../test/support/home.ts';
import { startMcpServer } from '../test/support/mcp-server.ts';

/** Short, so that the demo need not wait for an hour. */
const TOKEN_SECONDS = 12;

interface Token {
  access_token: string;
  expires_in: number;
  generation: number;
}

const say = (text = '') => process.stdout.write(`${text}\n`);
const step = (text: string) => say(`\n── ${text}`);
const command = (text: string) => say(`$ ${text}`);
const short = (secret: string) => `${secret.slice(0, 6)}…`;

const authorizationServer = await startAuthorizationServer({ accessTokenSeconds: TOKEN_SECONDS });
const mcpServer = await startMcpServer({ authorizationServer });
const home = await createHome();
const env = home.env;
let daemon: ReturnType<typeof startBroker> | undefined;
try {
  say('MCP OAuth for agents with no browser: sign in once, every agent gets a fresh token.');
  step('two real servers on this machine');
  say(`authorization server  ${authorizationServer.issuer}   (access tokens live ${TOKEN_SECONDS} s)`);
  say(`MCP server            ${mcpServer.url}   (refuses calls without a token)`);

  step('an operator signs in, once');
  await signIn(authorizationServer, mcpServer.url);

  step('the operator makes a key for an agent and starts the daemon');
  command('broker agent add demo-agent --allow demo');
  const { stdout } = await broker(['agent', 'add', 'demo-agent', '--allow', 'demo']);
  const key = stdout.trim();
  say(`${short(key)}   (the agent's key; it opens nothing but this broker)`);
  command('broker serve');
  daemon = startBroker(['serve', '--listen', '127.0.0.1:0'], { env });
  const [, url = ''] = await daemon.waitFor(/listening on (\S+)/, 'stderr');
  say(`listening on ${url}`);

  step('the agent asks for a token and calls a tool of the MCP server');
  const first = await fetchToken(url, key);
  await callTool(first);

  step(`${TOKEN_SECONDS} seconds later that token has ended; the agent just asks again`);
  await wait((first.expires_in + 1) * 1000);
  const second = await fetchToken(url, key);
  await callTool(second);
  assert.notEqual(second.access_token, first.access_token);

  step('what the authorization server saw');
  say(`sign-ins: 1   refreshes: ${authorizationServer.refreshes()}`);
  assert.equal(authorizationServer.refreshes(), 1, 'exactly one refresh was expected');
  say('one token ended, exactly one refresh happened, and nobody signed in again.');

  step('is all well? (what cron would ask)');
  command('broker check');
  const check = await broker(['check']);
  say(`${check.stdout}(silent, exit code ${check.code}: all is well)`);

  const code = await daemon.stop();
  daemon = undefined;
  assert.equal(code, 0, 'the daemon was expected to stop in good order');
  say('\ndone; the servers are stopped and the demo left nothing behind.');
} finally {
  await daemon?.stop();
  await mcpServer.close();
  await authorizationServer.close();
  await home.remove();
}

/** `broker login`, with a program in the place of the person and the browser. */
async function signIn(server: AuthorizationServer, target: string): Promise<void> {
  command(`broker login ${target} --name demo --no-browser`);
  const login = startBroker(['login', target, '--name', 'demo', '--no-browser'], { env });
  const [link = ''] = await login.waitFor(/http\S+\/auth\?\S+/, 'stderr');
  say('open this link in any browser:');
  say(`  ${link.slice(0, 90)}…`);
  say('(here the demo opens it, signs in as alice, approves, and pastes the address it was sent to)');
  login.write(await server.approve(link, { account: 'alice' }));
  assert.equal(await login.exited, 0, login.stderr());
  for (const line of login
    .stderr()
    .split('\n')
    .filter((each) => /^(✔| {2}(scope|access|refresh))/.test(each)))
    say(line);
}

/** What an agent does: one HTTP request with its key. */
async function fetchToken(url: string, key: string): Promise<Token> {
  command(`curl -H "Authorization: Bearer $BROKER_AGENT_KEY" ${url}/v1/connections/demo/token`);
  const response = await fetch(`${url}/v1/connections/demo/token`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const body = await response.text();
  assert.equal(response.status, 200, body);
  const token = JSON.parse(body) as Token;
  say(
    `access_token ${short(token.access_token)}   expires_in ${token.expires_in}   generation ${token.generation}`,
  );
  return token;
}

/** Calls the tool `whoami` with the official MCP client. */
async function callTool(token: Token): Promise<void> {
  const transport = new StreamableHTTPClientTransport(new URL(mcpServer.url), {
    requestInit: { headers: { authorization: `Bearer ${token.access_token}` } },
  });
  const client = new Client({ name: 'demo-agent', version: '1.0.0' });
  await client.connect(transport as Transport);
  const { content } = await client.callTool({ name: 'whoami', arguments: {} });
  say(`tool whoami answers: ${(content as { text: string }[])[0]?.text}`);
  await client.close();
}

async function broker(args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const outcome = await runBroker(args, { env });
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}
