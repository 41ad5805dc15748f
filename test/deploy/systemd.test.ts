/** The units as systemd's own tools see them. No manager is needed for that. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deployPath, hasProgram, readDeploy, readUnit } from '../support/deploy.ts';
import { CHECKOUT, runProgram } from '../support/packed-package.ts';

const SERVICES = ['broker.service', 'broker-check.service', 'broker-backup.service'];
const TIMERS = ['broker-check.timer', 'broker-backup.timer'];
const BIN = join(CHECKOUT, 'bin/broker.js');

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-units-'));
  // The command is where npm put it, which is not on this machine.
  for (const name of [...SERVICES, ...TIMERS, 'broker-alert@.service'])
    writeFileSync(
      join(folder, name),
      readDeploy(`systemd/${name}`).replace(/^ExecStart=broker/m, `ExecStart=${BIN}`),
    );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (program: string, ...args: string[]) => runProgram(program, args, { cwd: folder });

describe.skipIf(!hasProgram('systemd-analyze'))('systemd-analyze (skipped where there is none)', () => {
  test('has nothing to say against any unit', async () => {
    const units = [...SERVICES, ...TIMERS, 'broker-alert@.service'].map((name) => join(folder, name));
    expect(await run('systemd-analyze', 'verify', '--man=no', ...units)).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  test.each(SERVICES)('finds %s as little exposed as docs/install.md says', async (name) => {
    const [, score = ''] =
      /says (\d\.\d) \(0 is best/.exec(readFileSync(join(CHECKOUT, 'docs/install.md'), 'utf8')) ?? [];
    const threshold = String(Math.round(Number(score) * 10));
    const judge = ['security', '--offline=yes', '--no-pager', `--threshold=${threshold}`, join(folder, name)];
    const judged = await run('systemd-analyze', ...judge);
    expect(judged.code, judged.stdout).toBe(0);
  });

  test.each([
    ['broker-check.timer', / \*:00:00$/, 24],
    ['broker-backup.timer', /03:40:00$/, 1],
  ])('%s is due as often as it says', async (name, form, timesADay) => {
    const [calendar = ''] = readUnit(name).get('OnCalendar') ?? [];
    const asked = [
      'calendar',
      '--base-time=2027-01-01 00:30:00 UTC',
      `--iterations=${timesADay + 1}`,
      calendar,
    ];
    const { code, stdout } = await run('systemd-analyze', ...asked);
    expect(code).toBe(0);
    expect(/Normalized form: (.*)/.exec(stdout)?.[1]).toMatch(form);
    const due = [...stdout.matchAll(/(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC/g)].map(([, at]) =>
      Date.parse(`${at}Z`),
    );
    expect((due.at(-1) ?? 0) - (due[0] ?? 0)).toBe(86_400_000);
  });
});

const isRoot = process.getuid?.() === 0;
describe.skipIf(!isRoot || !hasProgram('systemd-tmpfiles'))(
  'user and directories (skipped without root or systemd)',
  () => {
    test('are made as the units need them', async () => {
      const root = join(folder, 'root');
      for (const each of ['etc', 'var/lib', 'var/backups']) mkdirSync(join(root, each), { recursive: true });
      for (const each of ['sysusers', 'tmpfiles'])
        copyFileSync(deployPath(`systemd/broker.${each}.conf`), join(root, `${each}.conf`));
      const users = await run('systemd-sysusers', `--root=${root}`, join(root, 'sysusers.conf'));
      expect(users.code, users.stderr).toBe(0);
      const line = /^broker:x:(\d+):(\d+):.*:(.*):.*nologin$/m.exec(
        readFileSync(join(root, 'etc/passwd'), 'utf8'),
      );
      expect(line?.[3]).toBe('/var/lib/mcp-token-broker');
      expect(readFileSync(join(root, 'etc/group'), 'utf8')).toMatch(/^broker-agents:x:\d+:broker$/m);

      const made = await run('systemd-tmpfiles', '--create', `--root=${root}`, join(root, 'tmpfiles.conf'));
      expect(made, 'no unsafe path transitions').toEqual({ code: 0, stdout: '', stderr: '' });
      const of = (path: string) => {
        const { mode, uid, gid } = statSync(join(root, path));
        return [(mode & 0o7777).toString(8), uid, gid];
      };
      const broker = [Number(line?.[1]), Number(line?.[2])];
      expect(of('var/lib/mcp-token-broker')).toEqual(['700', ...broker]);
      expect(of('var/backups/mcp-token-broker')).toEqual(['700', ...broker]);
      expect(of('etc/mcp-token-broker')).toEqual(['1770', 0, broker[1]]);
      expect(readlinkSync(join(root, 'var/lib/mcp-token-broker/.config/mcp-token-broker'))).toBe(
        '/etc/mcp-token-broker',
      );
    });
  },
);

test('every service has the same place and the same sandbox', () => {
  const sandbox = (name: string) =>
    /^# The sandbox\.(.+?)(?:\n\n|$(?![\s\S]))/ms.exec(readDeploy(`systemd/${name}`))?.[1]?.trim();
  expect(sandbox('broker.service')).toContain('ProtectSystem=strict');
  for (const name of SERVICES) {
    expect(sandbox(name), name).toBe(sandbox('broker.service'));
    for (const key of ['User', 'StateDirectory', 'ConfigurationDirectory', 'LoadCredential'])
      expect(readUnit(name).get(key), `${key} of ${name}`).toEqual(readUnit('broker.service').get(key));
  }
});

test('the daemon gets longer to stop than it takes, and never starts in a fast loop', () => {
  const unit = readUnit('broker.service');
  const seconds = (key: string) => Number.parseInt(unit.get(key)?.[0] ?? '', 10);
  const [, drain = ''] =
    /DRAIN_MS = ([\d_]+)/.exec(readFileSync(join(CHECKOUT, 'src/daemon.ts'), 'utf8')) ?? [];
  expect(seconds('TimeoutStopSec') * 1000).toBeGreaterThan(Number(drain.replace('_', '')) + 30_000);
  expect(seconds('RestartSec')).toBeGreaterThanOrEqual(10);
  expect(unit.get('StartLimitIntervalSec')).toEqual(['10min']);
  // Five starts must fit into the ten minutes, or the limit would never be met.
  expect(seconds('RestartSec') * Number(unit.get('StartLimitBurst')?.[0])).toBeLessThan(600);
});

test('no filter of calls takes the socket from its group', () => {
  expect(readDeploy('systemd/config.json')).toContain('"socket-group"');
  // @privileged has @chown in it, so that must come back after it.
  const { PrivateUsers, SystemCallFilter } = Object.fromEntries(readUnit('broker.service'));
  expect(SystemCallFilter).toEqual(['@system-service', '~@privileged @resources', '@chown']);
  expect(PrivateUsers).toBeUndefined();
});

test('of what a check can say, a needed login and a closed vault are failures', () => {
  const unit = readUnit('broker-check.service');
  expect(unit.get('SuccessExitStatus')).toEqual(['1 75']);
  expect(unit.get('OnFailure')).toEqual(['broker-alert@%n.service']);
});
