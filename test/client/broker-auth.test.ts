import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { brokerAuth } from '../../src/client/index.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import { type ClientWorld, startClientWorld } from '../support/client-world.ts';
import { isRefresh } from '../support/gate.ts';

const GET = 'GET /v1/connections/demo/token';
const POST = 'POST /v1/connections/demo/token';

let test: ClientWorld;
let clients: Client[];

beforeEach(async () => {
  test = await startClientWorld();
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await test.close();
});

/** An agent with the official SDK v2. */
async function connect(connection = 'demo'): Promise<Client> {
  const client = new Client({ name: 'test-agent', version: '1.0.0' });
  clients.push(client);
  const authProvider = brokerAuth(test.options(connection));
  await client.connect(new StreamableHTTPClientTransport(new URL(test.world.mcp.url), { authProvider }));
  return client;
}

async function whoami(client: Client): Promise<unknown> {
  return (await client.callTool({ name: 'whoami', arguments: {} })).content;
}

/** What the server answered to calls of tools. */
function called(): number[] {
  return test.world.mcp.requests
    .filter(({ rpcMethod }) => rpcMethod === 'tools/call')
    .map(({ status }) => status);
}

it('MCP SDK v2 works through it, and 20 calls at once ask the daemon once', async () => {
  const client = await connect();
  const answers = await Promise.all(Array.from({ length: 20 }, () => whoami(client)));
  expect(answers).toEqual(Array(20).fill([{ type: 'text', text: 'alice' }]));
  expect(test.asked).toEqual([GET]);
});

it('a token the server refuses is replaced once, and the call succeeds', async () => {
  const client = await connect();
  test.world.clock.jump(60_000);
  test.world.authorizationServer.revokeAccessTokens();
  test.asked.length = 0;
  const answers = await Promise.all(Array.from({ length: 20 }, () => whoami(client)));
  expect(answers).toEqual(Array(20).fill([{ type: 'text', text: 'alice' }]));
  expect(test.asked).toEqual([POST]);
  expect(test.world.authorizationServer.refreshes()).toBe(1);
});

it('a server that refuses every token is not asked in a circle, nor is the daemon', async () => {
  const client = await connect();
  test.world.clock.jump(60_000);
  test.world.authorizationServer.revokeAccessTokens();
  test.world.authorizationServer.fail((request) =>
    isRefresh(request)
      ? changeAnswer(request, (body) => ({ ...body, access_token: 'fake-refused' }))
      : undefined,
  );
  test.asked.length = 0;
  test.world.mcp.requests.length = 0;
  await expect(whoami(client)).rejects.toThrow(/401|Unauthorized/);
  expect(test.asked).toEqual([POST]);
  expect(called()).toEqual([401, 401]);
  await expect(whoami(client)).rejects.toThrow(/401|Unauthorized/);
  expect(test.asked).toEqual([POST]);
  expect(called()).toEqual([401, 401, 401, 401]);
});

it('a login that ended reaches the agent as login_required, with the command that mends it', async () => {
  const client = await connect();
  test.world.clock.jump(60_000);
  test.world.authorizationServer.revokeAccessTokens();
  await test.world.authorizationServer.revokeGrantsOf('alice');
  await expect(whoami(client)).rejects.toMatchObject({ name: 'BrokerClientError' });
  test.world.clock.jump(3_600_000);
  await test.broker.refresh(OPERATOR, 'demo').catch(() => {});
  await expect(whoami(client)).rejects.toMatchObject({
    name: 'BrokerClientError',
    code: 'login_required',
    nextStep: 'broker login demo',
  });
});

it('is of another account by its name', async () => {
  await connect('demo@alice');
  expect(test.asked).toEqual(['GET /v1/connections/demo%40alice/token']);
});
