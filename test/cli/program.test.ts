import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/main.ts';
import { type BrokerResult, runBroker, startBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';

/** Every command with the words that lead to it. */
function commands(command: Command, path: string[] = []): [string, Command][] {
  return [
    [path.join(' '), command],
    ...command.commands.flatMap((child) => commands(child, [...path, child.name()])),
  ];
}

/** The help with what is added behind the options. */
function wholeHelp(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

const ALL = commands(buildProgram());

describe('the tree of commands', () => {
  it('has what DESIGN §6 promises', () => {
    expect(ALL.map(([path]) => path)).toEqual(
      expect.arrayContaining([
        'login',
        'list',
        'show',
        'token',
        'exec',
        'push',
        'config',
        'refresh',
        'check',
        'doctor',
        'logout',
        'agent add',
        'agent list',
        'agent show',
        'agent set',
        'agent rotate',
        'agent revoke',
        'tools',
        'key',
        'key status',
        'key rotate',
        'notify test',
        'notify list',
        'key retire',
        'backup',
        'restore',
        'migrate',
        'audit',
        'audit verify',
        'audit prune',
        'serve',
      ]),
    );
  });

  it.each(ALL)('describes %j, each of its options, and how to use it', (path, command) => {
    expect(command.description()).not.toBe('');
    const undescribed = command.options.filter(({ description }) => description === '');
    expect(undescribed.map(({ flags }) => flags)).toEqual([]);
    expect(command.helpInformation()).toContain(`Usage: broker${path === '' ? '' : ` ${path}`}`);
  });

  it.each(ALL.filter(([, { options }]) => options.length > 0))(
    'lets every option of %j also be set by BROKER_…',
    (_, command) => {
      const missing = command.options.filter(
        ({ long, envVar }) =>
          long !== '--version' &&
          !(command.name() === 'add' && long === '--url') &&
          // A rule of a server is typed, or it is none; so is what an audit trail leaves out.
          !(['tools', 'audit'].includes(command.name()) && long !== '--json') &&
          envVar !== `BROKER_${long?.slice(2).toUpperCase().replaceAll('-', '_')}`,
      );
      expect(missing.map(({ flags }) => flags)).toEqual([]);
    },
  );

  it('shows examples for every command', () => {
    const without = ALL.filter(([, command]) => !/^Examples?\b.*\n {2}.*\bbroker /m.test(wholeHelp(command)));
    // What only the completion scripts call.
    expect(without.map(([path]) => path)).toEqual(['complete']);
  });

  it('has --json on every command that answers', () => {
    // What `client-metadata` prints is JSON anyway; `exec` and `push` leave stdout to others.
    const silent = [
      '',
      'agent',
      'agent revoke',
      'key',
      'key retire',
      'notify',
      'serve',
      'client-metadata',
      'completion',
      'complete',
      'man',
      'exec',
      'push',
    ];
    const answering = ALL.filter(([path]) => !silent.includes(path));
    const without = answering.filter(([, { options }]) => !options.some(({ long }) => long === '--json'));
    expect(without.map(([path]) => path)).toEqual([]);
  });

  it('takes no secret on the command line', () => {
    // A flag without a value can carry none.
    const valued = ALL.flatMap(([, { options }]) => options.filter((each) => each.required || each.optional));
    const flags = valued.map((option) => option.flags);
    expect(
      flags.filter((each) => /secret|token|key|password/i.test(each) && !/file|--tls-|-error/.test(each)),
    ).toEqual([]);
  });
});

describe('the built program', () => {
  let home: Home;
  const run = (...args: string[]): Promise<BrokerResult> => runBroker(args, { env: home.env });

  beforeEach(async () => {
    home = await createHome();
  });

  afterEach(() => home.remove());

  it('prints help and version on stdout and exits 0', async () => {
    const results = await Promise.all([
      run('--help'),
      run('login', '--help'),
      run('help', 'serve'),
      run('-V'),
    ]);
    for (const { code, stdout, stderr } of results) {
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    }
    expect(results[0]?.stdout).toContain('Exit codes');
    expect(results[1]?.stdout).toContain('broker login https://coda.io/apis/mcp');
    expect(results[3]?.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('ends quietly when nobody reads its output any more, as in broker list | head', async () => {
    const help = startBroker(['--help'], { env: home.env });
    help.process.stdout.destroy();
    await help.exited;
    expect(help.stderr()).toBe('');
  });

  it.each([
    [[]],
    [['nonsense']],
    [['token']],
    [['token', 'a', 'b']],
    [['list', '--nonsense']],
    [['doctor', 'http://mcp.example.com/mcp']],
    [['doctor', 'No Name']],
    [['doctor', 'a', 'b']],
    [['token', 'a', '--min-ttl', 'soon']],
    [['login', 'https://mcp.example.com/mcp', '--callback-port', '0']],
    [['login', 'https://mcp.example.com/mcp', '--auth-method', 'magic']],
    [['login', 'https://mcp.example.com/mcp', '--timeout', 'soon']],
    [['agent', 'add', 'a', '--allow', 'a', '--mode', 'all']],
    [['agent', 'add', 'a', '--allow', 'a', '--rate', '0/m']],
    [['tools']],
    [['tools', 'a', '--allow']],
    [['serve', '--socket-mode', '999']],
    [['config', 'nonsense']],
    [['push', 'a']],
    [['push', 'a', '--file', 'b', '--format', 'xml']],
    [['list', '--log-level', 'loud']],
    [['restore']],
    [['backup', '.', '--keep', '0']],
    [['audit', '--since', '2026-02-31']],
    [['audit', 'prune', '--older-than', '90']],
    [['serve', '--audit-keep', '400']],
  ])('exits 64 with a word on stderr and nothing on stdout for %j', async (args) => {
    const { code, stdout, stderr } = await run(...args);
    expect([code, stdout]).toEqual([64, '']);
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('    at ');
  });
});
