/** An MCP server that is a program, through the real bin: from `broker add --command` to agents that call its tools. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { isRunning, PROGRAM_SECRET, STDIO_SERVER, textOf } from '../support/program-world.ts';
import { connectionRow } from '../support/vault-file.ts';

let journey: Journey;
let secretFile: string;

beforeEach(async () => {
  journey = await startJourney();
  secretFile = join(journey.home.path, 'pat.txt');
  writeFileSync(secretFile, `${PROGRAM_SECRET}\n`, { mode: 0o600 });
});
afterEach(() => journey.close());

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

const addSecret = () =>
  output('add', 'coda-pat', '--url', 'https://coda.io/apis/mcp', '--bearer-file', secretFile);
const ENV = ['--env', 'API_TOKEN={{coda-pat}}', '--env', 'MODE=test'];
const addProgram = (...more: string[]) =>
  journey.run(['add', 'coda-local', '--command', 'node', '--arg', STDIO_SERVER, ...ENV, ...more]);

async function connect(url: string, key: string): Promise<Client> {
  const client = new Client({ name: 'test-agent', version: '2' });
  const headers = { authorization: `Bearer ${key}` };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${url}/mcp/coda-local`), { requestInit: { headers } }),
  );
  return client;
}

describe('broker add --command', () => {
  it('puts a program behind the gateway: agents call its tools, and none of them holds its secret', async () => {
    await addSecret();
    const added = await addProgram();
    expect(added).toMatchObject({ code: 0, stdout: '' });
    expect(added.stderr).toMatch(
      /coda-local is added, a program behind the gateway\n\nnext: broker agent add <name> --allow coda-local --mode gateway\n$/,
    );
    const key = (
      await output(
        'agent',
        'add',
        'docs-bot',
        '--allow',
        'coda-local',
        '--mode',
        'gateway',
        '--tool-deny',
        'delete_*',
        '--allow-unknown',
      )
    ).trim();
    const { url, process } = await journey.serve();
    const client = await connect(url, key);
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toContain('echo');
    expect(names).not.toContain('delete_document');
    expect(await textOf(client, 'has', { name: 'API_TOKEN', value: PROGRAM_SECRET })).toBe('true');
    expect(await textOf(client, 'variables')).toBe('API_TOKEN MODE');
    const pid = Number(await textOf(client, 'pid'));
    await textOf(client, 'complain', { lines: ['it has SECRET'] });
    await process.waitFor(/"stderr":"it has secret:/, 'stderr');
    expect(isRunning(pid)).toBe(true);
    await client.close();
    expect(await process.stop()).toBe(0);
    expect(isRunning(pid)).toBe(false);
    const files = readFileSync(journey.vaultPath, 'latin1');
    for (const text of [process.stderr(), process.stdout(), added.stderr, files])
      expect(text).not.toContain(PROGRAM_SECRET);
  });

  it('ends its programs also when the daemon is killed and can end nothing', async () => {
    await addSecret();
    await addProgram('--process', 'shared');
    const key = (
      await output('agent', 'add', 'docs-bot', '--allow', 'coda-local', '--mode', 'gateway')
    ).trim();
    const { url, process } = await journey.serve();
    const client = await connect(url, key);
    const pid = Number(await textOf(client, 'pid'));
    await process.stop('SIGKILL');
    // Its input has ended, which is how programs of MCP learn that nobody is there.
    await expect.poll(() => isRunning(pid)).toBe(false);
    await client.close();
  });

  it('tells what it would start, and where secrets go', async () => {
    await addSecret();
    await addProgram('--cwd', journey.home.path, '--process', 'shared', '--idle-end', '10m');
    expect(JSON.parse(await output('show', 'coda-local', '--json'))).toMatchObject({
      ...{ name: 'coda-local', kind: 'none', state: 'ok', transport: 'stdio' },
      command: expect.stringMatching(/^\/.*\/node$/),
      arguments: [STDIO_SERVER],
      directory: journey.home.path,
      environment: { API_TOKEN: '{{coda-pat}}', MODE: 'test' },
      ...{ processes: 'shared', idle_end_seconds: 600 },
    });
    const shown = await output('show', 'coda-local');
    expect(shown).toContain('environment     API_TOKEN={{coda-pat}} MODE=test');
    expect(shown).not.toContain('url ');
    expect(await output('list')).toMatch(/^coda-local +ok/m);
    expect((await journey.run(['check', 'coda-local'])).code).toBe(0);
    expect((await journey.run(['doctor', 'coda-local'])).stdout).toMatch(
      /can be run; a doctor does not start it/,
    );
    expect(await journey.run(['logout', 'coda-local'])).toMatchObject({ code: 0 });
    expectFailure(await journey.run(['show', 'coda-local']), 2, /there is no connection coda-local/);
  });

  it('gives out no token: there is none', async () => {
    await addSecret();
    await addProgram();
    for (const command of [
      ['token', 'coda-local'],
      ['token', 'coda-local', '--headers-json'],
      ['exec', 'coda-local', '--', 'true'],
    ])
      expectFailure(
        await journey.run(command),
        command[0] === 'exec' ? 125 : 64,
        /coda-local is a program behind the gateway: it has no token/,
      );
    expectFailure(await journey.run(['login', 'coda-local']), 64, /coda-local is a program on this machine/);
    const key = (await output('agent', 'add', 'docs-bot', '--allow', 'coda-local')).trim();
    const { url } = await journey.serve();
    const headers = { authorization: `Bearer ${key}` };
    const { json } = await call(`${url}/v1/connections/coda-local`, { headers });
    expect(json).toMatchObject({ name: 'coda-local', transport: 'stdio', processes: 'session' });
    for (const field of ['command', 'arguments', 'directory', 'environment'])
      expect(json).not.toHaveProperty(field);
    for (const door of ['token', 'headers']) {
      const answer = await call(`${url}/v1/connections/coda-local/${door}`, { headers });
      expect(answer).toMatchObject({ status: 400, json: { code: 'bad_request' } });
      expect(answer.json.next_step).toContain('/mcp/coda-local');
    }
  });

  it('may be said again, and notes a secret that was written out', async () => {
    await addSecret();
    await addProgram();
    const again = await journey.run([
      'add',
      'coda-local',
      '--command',
      'node',
      '--env',
      'API_TOKEN=in-the-open',
    ]);
    expect(again.code).toBe(0);
    expect(again.stderr).toContain('note: the value of API_TOKEN is kept and shown as it is');
    expect(again.stderr).toContain('--env API_TOKEN={{name}}');
    expect(JSON.parse(await output('show', 'coda-local', '--json'))).toMatchObject({
      ...{ arguments: [], environment: { API_TOKEN: 'in-the-open' }, processes: 'session' },
      idle_end_seconds: 1800,
    });
  });

  it('refuses what cannot be started, with the reason, and keeps what was there', async () => {
    await addSecret();
    await output(
      'add',
      'wiki',
      '--url',
      'https://wiki.example.com/mcp',
      '--header',
      'X-Key',
      '--value-file',
      secretFile,
    );
    await addProgram();
    const before = connectionRow(journey.vaultPath, 'coda-local');
    const plain = join(journey.home.path, 'plain.txt');
    writeFileSync(plain, '#!/bin/sh\n', { mode: 0o600 });
    const add = (...args: string[]) => journey.run(['add', 'coda-local', ...args]);
    const refusals: [string[], RegExp][] = [
      [['--command', 'no-such-program'], /the program "no-such-program" was not found/],
      [['--command', plain], /plain\.txt" may not be run/],
      [['--command', journey.home.path], /was not found/],
      [['--command', 'node', '--cwd', plain], /plain\.txt" is no directory/],
      [['--command', 'node', '--env', 'T={{nobody}}'], /there is no connection nobody whose secret/],
      [['--command', 'node', '--env', 'T={{wiki}}'], /wiki has no single secret \(its kind is headers\)/],
      [
        ['--command', 'node', '--env', 'T={{coda-local}}'],
        /coda-local has no single secret \(its kind is none\)/,
      ],
      [['--command', 'node', '--env', 'T={{'], /the value of T has a \{\{ that names no connection/],
      [['--command', 'node', '--arg', '{{coda-pat}}'], /an argument wants a secret/],
      [['--command', 'node', '--url', 'https://coda.io/apis/mcp'], /a program has no URL/],
      [['--command', 'node', '--none'], /say in one way/],
      [['--none', '--url', 'https://wiki.example.com/mcp', '--arg', 'x'], /goes with a program/],
      [['--none', '--url', 'https://wiki.example.com/mcp'], /the name coda-local is taken by a program/],
    ];
    for (const [args, what] of refusals) expectFailure(await add(...args), 64, what);
    expectFailure(
      await journey.run(['add', 'coda-pat', '--command', 'node']),
      64,
      /coda-pat is taken by https:\/\/coda\.io/,
    );
    expectFailure(
      await journey.run(['add', 'a@b', '--command', 'node']),
      64,
      /"a@b" cannot be the name of a program/,
    );
    expect(connectionRow(journey.vaultPath, 'coda-local')).toEqual(before);
  });

  it('looks for a command as a shell does, where it is typed', async () => {
    const directory = join(journey.home.path, 'bin');
    mkdirSync(directory);
    writeFileSync(join(directory, 'server'), '#!/bin/sh\n');
    const run = () =>
      journey.run(['add', 'local', '--command', 'server'], { env: { PATH: `/nowhere:${directory}` } });
    expectFailure(await run(), 64, /server" may not be run/);
    chmodSync(join(directory, 'server'), 0o755);
    expect((await run()).code).toBe(0);
    expect(JSON.parse(await output('show', 'local', '--json')).command).toBe(join(directory, 'server'));
  });
});

describe('the doctor of a program', () => {
  it('tells what it lacks before anybody needs it', async () => {
    await addSecret();
    await addProgram();
    await output('logout', 'coda-pat');
    const { code, stdout } = await journey.run(['doctor', 'coda-local']);
    expect(code).toBe(2);
    expect(stdout).toContain('it needs the secret of coda-pat, which is not there any more');
  });
});
