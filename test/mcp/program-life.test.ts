import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { Secret } from '../../src/secret.ts';
import {
  isRunning,
  PROGRAM_SECRET,
  type ProgramWorld,
  STDIO_SERVER,
  startProgramWorld,
  textOf,
} from '../support/program-world.ts';
import { type RpcClient, rpcClient, toolText } from '../support/rpc.ts';
import { signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';

const MINUTE_MS = 60_000;

let given: ProgramWorld;
let key: string;

beforeEach(async () => {
  given = await startProgramWorld();
  await given.add('coda-local');
  key = await given.agent('docs-bot');
});
afterEach(() => given.close());

async function session(name = 'coda-local'): Promise<RpcClient> {
  const client = rpcClient(`${given.url}/mcp/${name}`, key);
  await client.initialize();
  return client;
}
const pidOf = async (client: RpcClient) => Number(toolText(await client.callTool('pid', 'pid')));
const ended = (pid: number) =>
  given.logged((line) => line.pid === pid && line.msg.startsWith('a program has ended'));

/** Lets pass the time in which a program may end before it is made to. */
async function graceOf(pid: number): Promise<void> {
  await given.logged((line) => line.pid === pid && line.msg === 'a program is asked to end');
  await given.world.clock.advance(1_000);
  await given.world.clock.advance(4_000);
}

describe('a program that ends by itself', () => {
  it('leaves no call without an answer, and the next session starts it again', async () => {
    const client = await session();
    const waiting = client.callTool(1, 'wait', { name: 'forever' });
    await given.logged(({ stderr }) => stderr === 'waiting forever');
    const crashed = await client.callTool(2, 'crash');
    for (const answer of [crashed, await waiting]) {
      expect(answer.messages).toMatchObject([{ error: { data: { code: 'upstream_unavailable' } } }]);
      expect(JSON.stringify(answer.messages)).toContain(
        'the program of coda-local has ended (exit code 3) before it answered: the call may have run',
      );
    }
    // What it knew of the session is gone, and so is the session (MCP, Session Management).
    expect(await client.callTool(3, 'pid')).toMatchObject({ status: 404 });
    expect(toolText(await (await session()).callTool(1, 'echo', { text: 'again' }))).toBe('again');
  });

  it('takes what it has started along', async () => {
    const client = await session();
    const pid = await pidOf(client);
    const forked = Number(toolText(await client.callTool(1, 'fork')));
    expect(isRunning(forked)).toBe(true);
    const crashed = client.callTool(2, 'crash');
    await graceOf(pid);
    await ended(pid);
    await crashed;
    await expect.poll(() => isRunning(forked)).toBe(false);
  });

  it('is started again later each time, and the agent is told when', async () => {
    await given.add('dead', { args: [STDIO_SERVER, '--dead'] });
    const client = rpcClient(`${given.url}/mcp/dead`, key);
    const begin = () => client.initialize();
    for (let start = 0; start < 2; start += 1)
      expect(JSON.stringify((await begin()).messages)).toContain('has ended (exit code 4)');
    const refused = await client.initialize();
    expect(refused).toMatchObject({ status: 503, messages: [{ error: { data: { retry_after: 1 } } }] });
    expect(JSON.stringify(refused.messages)).toContain('has ended by itself 2 times in a row');
    expect(refused.headers.get('retry-after')).toBe('1');
    await given.world.clock.advance(1_000);
    expect(JSON.stringify((await begin()).messages)).toContain('has ended (exit code 4)');
    expect((await client.initialize()).headers.get('retry-after')).toBe('2');
    // What lies in wait for one program is no concern of the others.
    expect((await session()).sessionId).toBeDefined();
  });

  it('is said not to start when its command is gone', async () => {
    await given.add('gone', { command: '/nowhere/server', args: ['--argument-of-it'] });
    const answer = await rpcClient(`${given.url}/mcp/gone`, key).initialize();
    expect(answer.status).toBe(503);
    expect(JSON.stringify(answer.messages)).toContain('the program of gone cannot be started (ENOENT)');
    expect(JSON.stringify([answer.messages, given.log])).not.toContain('argument-of-it');
  });
});

describe('a program nobody uses', () => {
  it('is ended after half an hour, and its session with it', async () => {
    const client = await session();
    const pid = await pidOf(client);
    await given.world.clock.advance(29 * MINUTE_MS);
    expect(await pidOf(client)).toBe(pid);
    await given.world.clock.advance(29 * MINUTE_MS);
    expect(isRunning(pid)).toBe(true);
    await given.world.clock.advance(MINUTE_MS);
    await ended(pid);
    expect(isRunning(pid)).toBe(false);
    expect(await client.callTool(1, 'pid')).toMatchObject({ status: 404 });
  });

  it('is ended when its operator says', async () => {
    await given.add('coda-local', { idleEndMs: 5_000 });
    const client = await session();
    const pid = await pidOf(client);
    await given.world.clock.advance(5_000);
    await ended(pid);
  });

  it('is used as long as a client listens', async () => {
    const client = await given.connect('coda-local', key);
    const pid = Number(await textOf(client, 'pid'));
    await given.logged((line) => line.msg === 'a program has started' && line.pid === pid);
    await textOf(client, 'announce', { text: 'listening' });
    await given.world.clock.advance(3 * 60 * MINUTE_MS);
    expect(Number(await textOf(client, 'pid'))).toBe(pid);
  });
});

describe('what a program writes to stderr', () => {
  it('is in the log line by line, without its secrets', async () => {
    const client = await session();
    const wanted = ['plain SECRET', JSON.stringify({ token: 'SECRET' }), 'with \u001b[31mcolour', 'last'];
    await client.callTool(1, 'complain', { lines: wanted });
    await given.logged(({ stderr }) => stderr === 'last');
    const shown = `secret:${new Secret(PROGRAM_SECRET).fingerprint()}`;
    const said = given.log.flatMap(({ stderr }) => stderr ?? []);
    expect(said).toEqual(['ready', `plain ${shown}`, `{"token":"${shown}"}`, 'with  [31mcolour', 'last']);
    expect(JSON.stringify(given.log)).not.toContain(PROGRAM_SECRET);
  });

  it('is bounded: long lines are cut, and many are counted', async () => {
    const client = await session();
    await client.callTool(1, 'complain', { lines: [`${'x'.repeat(100_000)}SECRET`, 'after'] });
    const long = await given.logged(({ stderr }) => stderr?.startsWith('xxx') ?? false);
    expect(long.stderr?.length).toBeLessThanOrEqual(1001);
    await given.logged(({ stderr }) => stderr === 'after');
    await client.callTool(2, 'complain', { lines: Array.from({ length: 80 }, (_, at) => `line ${at}`) });
    await given.world.clock.advance(10_000);
    await client.callTool(3, 'complain', { lines: ['the next window'] });
    await given.logged(({ stderr }) => stderr === 'the next window');
    const pid = await pidOf(client);
    await client.delete();
    await ended(pid);
    const shown = given.log.filter(({ stderr }) => stderr !== undefined).length;
    const dropped = given.log
      .filter(({ msg }) => msg === 'the program wrote more than the log takes')
      .reduce((sum, line) => sum + Number(line.dropped), 0);
    // What was not shown is counted, whenever it was read.
    expect(shown + dropped).toBe(['ready', 'xxx…', 'after', 'the next window'].length + 80);
    expect(dropped).toBeGreaterThan(0);
  });
});

describe('the number of processes', () => {
  it('is bounded, with an error that says what helps', async () => {
    const clients: RpcClient[] = [];
    for (let count = 0; count < 16; count += 1) clients.push(await session());
    const refused = await rpcClient(`${given.url}/mcp/coda-local`, key).initialize();
    expect(refused.status).toBe(429);
    expect(JSON.stringify(refused.messages)).toContain('coda-local has 16 processes, one for each session');
    expect(JSON.stringify(refused.messages)).toContain('--process shared');
    const [first] = clients as [RpcClient];
    const pid = await pidOf(first);
    await first.delete();
    await ended(pid);
    expect((await session()).sessionId).toBeDefined();
  });
});

describe('the secret of a program', () => {
  it('is the one of the moment it is started', async () => {
    const has = async (client: RpcClient, value: string) =>
      toolText(await client.callTool(value, 'has', { name: 'API_TOKEN', value }));
    const before = await session();
    expect(await has(before, PROGRAM_SECRET)).toBe('true');
    const token = new Secret('fake-pat-of-tomorrow');
    const url = 'http://127.0.0.1:9/mcp';
    await given.broker.addStatic({ name: 'coda-pat', url, credential: { kind: 'bearer', token } });
    expect(await has(await session(), 'fake-pat-of-tomorrow')).toBe('true');
    expect(await has(before, PROGRAM_SECRET)).toBe('true');
  });

  it('may be a login’s, fresh at each start', async () => {
    await signIn(given.broker, given.world.authorizationServer, given.world.mcp.url, { name: 'demo' });
    await given.add('coda-local', { env: { API_TOKEN: 'Bearer {{demo}}' } });
    const tokenNow = async () => (await given.broker.token(OPERATOR, 'demo')).accessToken.reveal();
    const first = await tokenNow();
    const has = async (value: string) =>
      toolText(await (await session()).callTool(1, 'has', { name: 'API_TOKEN', value }));
    expect(await has(`Bearer ${first}`)).toBe('true');
    await given.world.clock.advance(24 * 60 * MINUTE_MS);
    expect(await has(`Bearer ${first}`)).toBe('false');
    expect(await has(`Bearer ${await tokenNow()}`)).toBe('true');
  });

  it('is needed: without it nothing is started, and the remedy is told', async () => {
    await given.broker.logout(OPERATOR, 'coda-pat');
    const answer = await rpcClient(`${given.url}/mcp/coda-local`, key).initialize();
    expect(answer).toMatchObject({ status: 409, messages: [{ error: { data: { code: 'config_error' } } }] });
    expect(JSON.stringify(answer.messages)).toContain(
      'coda-local needs the secret of coda-pat, which is not there any more',
    );
    expect(given.log.filter(({ msg }) => msg === 'a program has started')).toEqual([]);
  });

  it('is told of in the audit trail by its fingerprint, with the agent it was started for', async () => {
    await session();
    await given.daemon.close();
    const rows = rowsOf(
      given.world.vaultPath,
      "SELECT actor, connection, detail FROM audit WHERE action = 'start'",
    );
    const detail = {
      ...{ secret_of: 'coda-pat', generation: 1 },
      token: new Secret(PROGRAM_SECRET).fingerprint(),
    };
    expect(rows).toEqual([
      { actor: 'agent:docs-bot', connection: 'coda-local', detail: JSON.stringify(detail) },
    ]);
    expect(readFileSync(given.world.vaultPath).includes(PROGRAM_SECRET)).toBe(false);
  });
});

describe('the end of the daemon', () => {
  it('is the end of all programs, also of those that do not want to, and of what they started', async () => {
    await given.add('stubborn', { args: [STDIO_SERVER, '--stubborn'] });
    const clients = [await session(), await session('stubborn')];
    const pids = await Promise.all(clients.map(pidOf));
    pids.push(Number(toolText(await (clients[0] as RpcClient).callTool(1, 'fork'))));
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    const closed = given.daemon.close();
    await Promise.all(pids.slice(0, 2).map(graceOf));
    await closed;
    await expect.poll(() => pids.map(isRunning)).toEqual([false, false, false]);
  });
});
