/** The commands of docs/credentials.md, run as they stand there. Only addresses and files are replaced by ours. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { type IdentityWorld, startIdentityWorld } from '../support/identity-world.ts';
import { MACHINE_SECRET, withMachines } from '../support/machine-client.ts';
import { initializeWith } from '../support/mcp-initialize.ts';

const PAGE = readFileSync(new URL('../../docs/credentials.md', import.meta.url), 'utf8');

/** Each command with the comment below it. */
const EXAMPLES = [...PAGE.matchAll(/^(broker .+)\n# agents get (.+)$/gm)].map(
  ([, command = '', get = '']) => [command, get] as const,
);

const SECRET = 'fake-secret-of-the-page';
const OUR_CLIENT = {
  client_id: 'our-client',
  client_secret: MACHINE_SECRET,
  redirect_uris: ['http://127.0.0.1/callback'],
};

let world: IdentityWorld;
let server: HeaderServer;

beforeEach(async () => {
  const machines = withMachines();
  const clients = [...(machines.clients ?? []), { ...OUR_CLIENT, application_type: 'native' as const }];
  world = await startIdentityWorld({ ...machines, clients });
  server = await startHeaderServer();
});

afterEach(async () => {
  await world.close();
  await server.close();
});

test('the page has an example of each kind and each system, and nothing else in its blocks', () => {
  const lines = [...PAGE.matchAll(/^```sh\n([^`]+)```/gm)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
  expect(lines).toEqual(EXAMPLES.flatMap(([command, get]) => [command, `# agents get ${get}`]));
  expect(EXAMPLES.map(([command]) => command.split(' ').slice(1, 3).join(' '))).toEqual([
    'login https://coda.io/apis/mcp',
    'add coda',
    'add coda-gateway',
    'add open',
    'login https://mcp.example.com/mcp',
    'login https://mcp.example.com/mcp',
    'add wiki',
    'add wiki',
    'add wiki',
    'login https://login.example.com',
    'add internal',
    'add internal',
    'login https://coder.example.com/api/experimental/mcp/http',
    'add coder',
    'login https://mcp.notion.com/mcp',
    'add notion',
    'add reports',
  ]);
});

test.each(EXAMPLES)('%s', async (command, get) => {
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain = '']) => quoted ?? plain);
  const headers = expected(get);
  server.want(
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  );
  const isIdentity = words.includes('--identity');
  const isLogin = words[1] === 'login';
  const isOAuth = isLogin || words.includes('--client-credentials');
  const target = isIdentity ? world.internal.url : isOAuth ? world.journey.mcp.url : server.url;
  const args = words.slice(1).map((word) => {
    if (word === 'https://login.example.com') return world.corp;
    return word.startsWith('https://') ? target : word.endsWith('.txt') ? file(word) : word;
  });
  if (isIdentity) expect((await world.signIn('alice')).code).toBe(0);
  const name = await (isLogin ? logIn(args) : add(args));
  const got = await headersOf(isIdentity ? 'internal@alice' : name);
  if (isOAuth || isIdentity) expect(Object.keys(got)).toEqual(['Authorization']);
  else expect(got).toEqual(headers);
  // The company itself is no MCP server.
  if (!words.includes('--account')) expect(await initializeWith(target, got)).toBe(200);
});

/** The headers of a comment, with the secret in place. */
function expected(get: string): Record<string, string> {
  if (get === 'nothing') return {};
  return Object.fromEntries(get.split(', ').map((line) => line.replace('…', SECRET).split(': ')));
}

function file(name: string): string {
  const path = join(world.journey.home.path, name);
  writeFileSync(path, name === 'client-secret.txt' ? MACHINE_SECRET : SECRET, { mode: 0o600 });
  return path;
}

async function add(args: string[]): Promise<string> {
  const { code, stderr } = await world.journey.run(args);
  expect(code, stderr).toBe(0);
  return args[1] as string;
}

/** An address is no name, so the connection is told its name where the command leaves that to the host. */
async function logIn(args: string[]): Promise<string> {
  const named = args.includes('--name') ? [] : ['--name', 'demo'];
  const process = world.journey.start([...args, ...named, '--no-browser', '--json']);
  const [line = ''] = await process.waitFor(/^\{"event":"authorization_url".*$/m);
  process.write(await world.journey.authorizationServer.approve((JSON.parse(line) as { url: string }).url));
  expect(await process.exited, process.stderr()).toBe(0);
  const [, name = ''] = /^\{"event":"connected".*"connection":"([^"]+)"/m.exec(process.stdout()) ?? [];
  return name;
}

async function headersOf(name: string): Promise<Record<string, string>> {
  const { env } = world.journey.home;
  const settings = readSettings({ home: env.BROKER_HOME as string }, { ...env });
  const broker = await openBroker({ settings, log: createLog('silent'), create: false });
  try {
    const { headers } = await broker.headers(OPERATOR, name);
    return Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, value.reveal()]));
  } finally {
    await broker.close();
  }
}
