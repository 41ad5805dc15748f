/** The commands of the README, run as they stand there. Only the vendor's URL is replaced by a server of ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { createHome } from '../support/home.ts';
import { type McpTestServer, startMcpServer } from '../support/mcp-server.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const README = readFileSync(`${CHECKOUT}README.md`, 'utf8');
const PACKAGE = JSON.parse(readFileSync(`${CHECKOUT}package.json`, 'utf8')) as {
  scripts: Record<string, string>;
};
const CODA = 'https://coda.io/apis/mcp';

const commands = [...README.matchAll(/^```sh\n([^`]+)```/gm)].flatMap(([, block = '']) =>
  block.trim().split('\n'),
);

let authorizationServer: AuthorizationServer;
let mcpServer: McpTestServer;
let home: Awaited<ReturnType<typeof createHome>>;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  authorizationServer = await startAuthorizationServer();
  mcpServer = await startMcpServer({ authorizationServer });
  home = await createHome();
  // An address is no name, so the connection is told its name; the port of the README may be taken here.
  env = { ...home.env, BROKER_NAME: 'coda', BROKER_LISTEN: `127.0.0.1:${await freePort()}` };
});

afterAll(async () => {
  await mcpServer.close();
  await authorizationServer.close();
  await home.remove();
});

/** Runs one line of the README in a shell, in the checkout. */
function start(line: string) {
  const adapted = line.replace(CODA, mcpServer.url).replace('127.0.0.1:8787', String(env.BROKER_LISTEN));
  const child = spawn('sh', ['-c', adapted], { cwd: CHECKOUT, env, detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  return {
    child,
    output: () => output,
    async exit(): Promise<number | null> {
      if (child.exitCode === null) await once(child, 'close');
      return child.exitCode;
    },
    async seen(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = pattern.exec(output);
        if (found) return found[1] ?? found[0];
        if (child.exitCode !== null) throw new Error(`ended before ${pattern}:\n${output}`);
        await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), once(child, 'exit')]);
      }
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

test('the README has just the commands that are run here', () => {
  expect(commands).toEqual([
    'npm ci && npm run demo',
    'npm ci && npm test',
    `npx broker login ${CODA}`,
    'export BROKER_AGENT_KEY=$(npx broker agent add my-agent --allow coda)',
    'npx broker serve',
    'curl -H "Authorization: Bearer $BROKER_AGENT_KEY" http://127.0.0.1:8787/v1/connections/coda/token',
    `npx broker login ${CODA} --no-browser`,
    'npm run build',
    'npm run lint',
    'npm run types',
  ]);
  // `npm test` runs these three before the tests.
  for (const script of ['build', 'lint', 'types'])
    expect(PACKAGE.scripts.pretest).toContain(`npm run ${script}`);
});

test.concurrent('the four lines of the real thing work one after the other', async () => {
  const [, , login = '', agent = '', serve = '', curl = '', again = ''] = commands;

  const first = start(login);
  const link = await first.seen(/(http\S+\/auth\?\S+)/);
  await fetch(await authorizationServer.approve(link));
  expect(await first.exit(), first.output()).toBe(0);
  expect(first.output()).toContain('coda is connected');

  const made = start(`${agent}; echo "$BROKER_AGENT_KEY"`);
  expect(await made.exit(), made.output()).toBe(0);
  const key = /^mtb_\S+$/m.exec(made.output())?.[0];

  const daemon = start(serve);
  await daemon.seen(/listening on/);
  env = { ...env, BROKER_AGENT_KEY: key };
  const asked = start(curl);
  expect(await asked.exit(), asked.output()).toBe(0);
  expect(asked.output()).toContain('"connection":"coda"');
  env = { ...env, BROKER_AGENT_KEY: undefined };

  const second = start(again);
  const secondLink = await second.seen(/(http\S+\/auth\?\S+)/);
  second.child.stdin.write(`${await authorizationServer.approve(secondLink)}\n`);
  expect(await second.exit(), second.output()).toBe(0);

  process.kill(-(daemon.child.pid as number), 'SIGTERM');
  await once(daemon.child, 'close');
  expect(daemon.output()).toContain('stopped');
}, 60_000);

test.concurrent('the demo ends well and shows exactly one refresh', async () => {
  const demo = start('npm run demo');
  expect(await demo.exit(), demo.output()).toBe(0);
  expect(demo.output()).toContain('sign-ins: 1   refreshes: 1');
}, 60_000);
