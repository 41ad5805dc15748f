import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { runBroker } from '../support/broker-process.ts';
import { createHome } from '../support/home.ts';
import { expectFailure } from '../support/journey.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';

let world: ProcessWorld;

async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await world.run(args);
  expect(code, stderr).toBe(0);
  return { stdout, stderr };
}

beforeEach(async () => {
  world = await startProcessWorld();
});

afterEach(() => world.close());

describe('an operator', () => {
  it('backs up while the daemon serves, and restores on another machine with the key alone', async () => {
    const daemon = await world.startDaemon();
    const made = await run('backup', world.home.path);
    const [name = ''] = readdirSync(world.home.path).filter((each) => each.endsWith('.backup'));
    expect(name).toMatch(/^broker-\d{8}T\d{6}Z\.backup$/);
    const path = join(world.home.path, name);
    expect(made.stdout).toBe(`${path}\n`);
    expect(made.stderr).toMatch(
      /^✔ 1 connection and 1 agent are backed up in \S+ \(\d+ KiB\)\n {2}sha256 [\da-f]{64}\n {2}only the master key [\da-f]{16} opens it, which is now in \S+master\.key\n {2}that key is not in the backup: keep a copy of it, in another place than the backup\n$/,
    );
    expect((await daemon.ask()).status).toBe(200);
    expectFailure(
      await world.run(['restore', path, '--force']),
      75,
      /the broker process \d+ has the vault \S+ open$/,
    );

    const other = await createHome();
    try {
      const config = join(other.env.XDG_CONFIG_HOME as string, 'mcp-token-broker');
      const elsewhere = (...args: string[]) => runBroker(args, { env: other.env });
      expectFailure(
        await elsewhere('restore', path),
        3,
        /^error: the master key of the backup was not found/,
      );
      expect(() => statSync(config)).toThrow();
      renameSync(join(world.home.env.XDG_CONFIG_HOME as string, 'mcp-token-broker'), config);
      const restored = await elsewhere('restore', path);
      expect(restored.code, restored.stderr).toBe(0);
      expect(restored.stdout).toBe(
        'UNCERTAIN  TO FIND OUT NOW      IF IT HAS ENDED\ndemo       broker refresh demo  broker login demo\n',
      );
      expect(restored.stderr).toMatch(
        /^✔ \S+broker\.db is as it was on \S+Z: connections 1, agents 1\nwarning: agents revoked since then may be back: .+\nwarning: the refresh tokens of these may have been used since; .+\nnothing must be done: .+\n$/,
      );
      const refreshed = await elsewhere('refresh', 'demo');
      expect(refreshed.code, refreshed.stderr).toBe(0);
    } finally {
      await other.remove();
    }
  });

  it('learns from a restored login that was used up what happened and what to do', async () => {
    const path = join(world.home.path, 'x.backup');
    await world.here((broker) => broker.backups.make({ path, force: false, keep: undefined }));
    await world.here((broker) => broker.refresh(OPERATOR, 'demo'));
    expectFailure(await world.run(['restore', path]), 64, /^error: there is a vault at /);
    const { stderr } = await run('restore', path, '--force');
    expect(stderr).toMatch(
      /^ {2}the vault before is \S+\.before-restore-\d{8}T\d{6}Z; delete it when nobody misses it$/m,
    );
    const check = await world.run(['check']);
    expect([check.code, check.stdout]).toEqual([1, expect.stringContaining('restored from a backup')]);
    const refused = await world.run(['refresh', 'demo']);
    expectFailure(refused, 2, /came from a restored backup, and its refresh token was used up since$/);
    expect(refused.stderr).toContain('→ broker login demo');
  });

  it('pipes a backup, and is told when it is cut', async () => {
    const piped = await world.run(['backup', '-']);
    expect(piped.code).toBe(0);
    expect(piped.stdout).toMatch(/^ey[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const home = ['--home', join(world.home.path, 'elsewhere')];
    const cut = await world.run([...home, 'restore', '-'], { input: piped.stdout.slice(0, -9) });
    expectFailure(cut, 3, /^error: the backup cannot be restored: it ends within a part$/);
    const whole = await world.run([...home, 'restore', '-', '--json'], { input: piped.stdout });
    expect(whole.code, whole.stderr).toBe(0);
    expect(JSON.parse(whole.stdout)).toMatchObject({ connections: 1, agents: 1, uncertain: ['demo'] });
    expect(await world.run([...home, 'migrate', '--check'])).toMatchObject({ code: 0, stdout: '' });
  });
});
