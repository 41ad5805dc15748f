/** What broker.service starts, in the environment systemd would give it, and its operator beside it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BrokerProcess, runBroker, startBroker } from '../support/broker-process.ts';
import { hasProgram, readDeploy, readUnit } from '../support/deploy.ts';
import { createHome, type Home } from '../support/home.ts';

/** Prints each word that systemd would be told. Node has no datagram sockets in the file system. */
const LISTENER = `use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die $!;
print "bound\\n"; while (defined recv(S, $word, 4096, 0)) { print "$word\\n" if $word !~ /^BARRIER/ }`;
const canNotify = hasProgram('systemd-notify') && hasProgram('perl');

let home: Home;
/** As `sudo -u broker` leaves it: nothing but the home of that user, and PATH. */
let operator: Record<string, string>;
let daemon: BrokerProcess;
let manager: ChildProcessWithoutNullStreams | undefined;
let words = '';
let key: string;

const place = (path: string) => join(home.path, path);
const socket = () => place('run/mcp-token-broker/broker.sock');

beforeAll(async () => {
  home = await createHome();
  for (const each of [
    'var/lib/mcp-token-broker/.config',
    'etc/mcp-token-broker',
    'run/mcp-token-broker',
    'credentials',
  ])
    mkdirSync(place(each), { recursive: true, mode: 0o700 });
  symlinkSync(place('etc/mcp-token-broker'), place('var/lib/mcp-token-broker/.config/mcp-token-broker'));
  const config = readDeploy('systemd/config.json')
    .replace(/"\/var|unix:\/run/g, (root) => root.replace('/', `${home.path}/`))
    .replace('127.0.0.1:8787', '127.0.0.1:0')
    .replace('"broker-agents"', String(process.getgid?.()));
  writeFileSync(place('etc/mcp-token-broker/config.json'), config);
  operator = { PATH: home.env.PATH as string, HOME: place('var/lib/mcp-token-broker') };

  await asOperator('add', 'demo', '--url', 'https://mcp.example.com/mcp', '--none');
  key = (await asOperator('agent', 'add', 'worker', '--allow', 'demo')).trim();

  copyFileSync(place('etc/mcp-token-broker/master.key'), place('credentials/broker-master-key'));
  if (canNotify) await startManager();
  const [program, ...args] = (readUnit('broker.service').get('ExecStart')?.[0] ?? '').split(' ');
  expect(program).toBe('broker');
  daemon = startBroker(args, {
    env: {
      ...operator,
      STATE_DIRECTORY: place('var/lib/mcp-token-broker'),
      CONFIGURATION_DIRECTORY: place('etc/mcp-token-broker'),
      RUNTIME_DIRECTORY: place('run/mcp-token-broker'),
      CREDENTIALS_DIRECTORY: place('credentials'),
      ...(canNotify ? { NOTIFY_SOCKET: place('notify') } : {}),
    },
  });
  await daemon.waitFor(/listening on unix:/, 'stderr');
});

afterAll(async () => {
  await daemon.stop();
  manager?.kill();
  await home.remove();
});

async function asOperator(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runBroker(args, { env: operator });
  expect(code, stderr).toBe(0);
  return stdout;
}

async function startManager(): Promise<void> {
  manager = spawn('perl', ['-e', LISTENER, place('notify')]);
  manager.stdout.setEncoding('utf8').on('data', (each: string) => {
    words += each;
  });
  await hear(/^bound$/m);
}

async function hear(word: RegExp): Promise<void> {
  while (!word.test(words)) await once((manager as ChildProcessWithoutNullStreams).stdout, 'data');
}

async function ask(path: string, headers: Record<string, string> = {}) {
  const call = request({ socketPath: socket(), path, headers }).end();
  const [answer] = await once(call, 'response');
  return { status: answer.statusCode, body: await text(answer) };
}

test('it is ready, and answers at its socket', async () => {
  expect(await ask('/readyz')).toEqual({ status: 200, body: 'ready\n' });
});

test.skipIf(!canNotify)('systemd is told (skipped without systemd-notify or perl)', () => hear(/^READY=1$/m));

test('what the operator does beside it is in the same vault', async () => {
  expect(await asOperator('list')).toContain('demo');
  const answer = await ask('/v1/connections', { authorization: `Bearer ${key}` });
  expect(answer.body).toContain('"demo"');
  const later = (await asOperator('agent', 'add', 'later', '--allow', 'demo')).trim();
  expect((await ask('/v1/connections', { authorization: `Bearer ${later}` })).status).toBe(200);
});

test('SIGTERM ends it with 0, and systemd is told that it stops', async () => {
  expect(await daemon.stop()).toBe(0);
  expect(daemon.stderr()).toMatch(/SIGTERM: finishing what was begun\nstopped\n$/);
  if (manager) await hear(/^READY=1\nSTOPPING=1$/m);
});
