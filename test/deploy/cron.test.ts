/**
 * The line of the crontab, run as cron runs it: by `sh -c`, with cron's environment and no other. A cron process itself
 * would read the machine's own crontabs, so none is started.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runBroker } from '../support/broker-process.ts';
import { readDeploy } from '../support/deploy.ts';
import { createHome, type Home } from '../support/home.ts';
import { CHECKOUT } from '../support/packed-package.ts';

interface CronTable {
  variables: Record<string, string>;
  /** One line of /etc/cron.d: five times, a user, and a command. */
  jobs: { times: string[]; user: string; command: string }[];
}

/** Throws for a line that cron would not take. */
function readTable(content: string): CronTable {
  const table: CronTable = { variables: {}, jobs: [] };
  for (const line of content.split('\n').filter((each) => !/^\s*(#|$)/.test(each))) {
    const variable = /^([A-Z]+)=(.*)$/.exec(line);
    const job = /^((?:[\d*,/-]+\s+){5})([a-z]+)\s+(\S.*)$/.exec(line);
    if (variable) table.variables[variable[1] as string] = variable[2] as string;
    else if (job)
      table.jobs.push({
        times: job[1]?.trim().split(/\s+/) ?? [],
        user: job[2] ?? '',
        command: job[3] ?? '',
      });
    else throw new Error(`cron would not take: ${line}`);
  }
  return table;
}

const content = readDeploy('cron/broker');
const { variables, jobs } = readTable(content);
const [job] = jobs;
let home: Home;

/** The home of the user, with the vault that its config file names. */
beforeAll(async () => {
  home = await createHome();
  const configuration = join(home.env.HOME as string, '.config/mcp-token-broker');
  mkdirSync(configuration, { recursive: true });
  writeFileSync(join(configuration, 'config.json'), JSON.stringify({ home: home.env.BROKER_HOME }));
  // In place of /usr/local/bin, where npm puts both.
  mkdirSync(join(home.path, 'bin'));
  symlinkSync(join(CHECKOUT, 'bin/broker.js'), join(home.path, 'bin/broker'));
  symlinkSync(process.execPath, join(home.path, 'bin/node'));
});

afterAll(() => home.remove());

/** What cron would mail, and the exit code it does not look at. */
async function runJob(): Promise<{ code: number | null; mail: string }> {
  const path = variables.PATH?.replace('/usr/local/bin', join(home.path, 'bin'));
  const env = { HOME: home.env.HOME, LOGNAME: job?.user, SHELL: '/bin/sh', PATH: path };
  const child = spawn('/bin/sh', ['-c', `exec 2>&1; ${job?.command}`], { env, cwd: home.env.HOME as string });
  const ended = once(child, 'close');
  const mail = await text(child.stdout);
  const [code] = await ended;
  return { code, mail };
}

test('is a table as cron wants it: hourly, as the user broker, to somebody', () => {
  expect(jobs).toHaveLength(1);
  expect(job).toMatchObject({ times: ['17', '*', '*', '*', '*'], user: 'broker' });
  expect(variables.MAILTO).toBe('root');
  expect(variables.PATH?.split(':')).toEqual(['/usr/local/bin', '/usr/bin', '/bin']);
  // A line without its end is not read; a bare % would end the command.
  expect(content.endsWith('\n')).toBe(true);
  expect(job?.command).not.toContain('%');
});

test('mails what is wrong, and nothing when all is well', async () => {
  const missing = await runJob();
  expect(missing.code).toBe(3);
  expect(missing.mail).toContain('there is no vault');

  const operator = { HOME: home.env.HOME as string, PATH: home.env.PATH as string };
  const add = ['add', 'demo', '--url', 'https://mcp.example.com/mcp', '--none'];
  expect((await runBroker(add, { env: operator })).code).toBe(0);
  expect(await runJob()).toEqual({ code: 0, mail: '' });
});
