import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectFailure } from '../support/journey.ts';
import { type ProcessWorld, type RunningDaemon, startProcessWorld } from '../support/process-world.ts';

let world: ProcessWorld;
let daemon: RunningDaemon;

beforeEach(async () => {
  world = await startProcessWorld();
  daemon = await world.startDaemon();
});

afterEach(() => world.close());

const newFile = () => join(world.home.path, 'new.key');

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await world.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

const refused = (why: RegExp) => async (args: string[]) => expectFailure(await world.run(args), 64, why);

async function expectServes(): Promise<void> {
  world.expireAccessToken();
  expect(await daemon.ask()).toMatchObject({ status: 200, json: { access_token: expect.any(String) } });
}

describe('an operator', () => {
  it('changes the data key while the daemon serves, and forgets the old one once it has stopped', async () => {
    const [, old] = /^(\S+) +data /m.exec(await run('key', 'status')) ?? [];
    await expectServes();
    const { data_key, resealed } = JSON.parse(await run('key', 'rotate', '--json'));
    expect(resealed).toBe(2);
    await expectServes();
    const status = await run('key', 'status');
    expect(status).toMatch(new RegExp(`^${old} +data .* 0 sealed values$`, 'm'));
    expect(status).toMatch(new RegExp(`^${data_key} +data .* 2 sealed values, and new ones$`, 'm'));
    const retire = ['key', 'retire', old as string];
    await refused(new RegExp(`the broker process ${daemon.process.process.pid} may be using it$`))(retire);
    await daemon.process.stop();
    await run(...retire);
    daemon = await world.startDaemon();
    await expectServes();
  });

  it('changes the master key: the daemon is restarted with the new one before the old one goes', async () => {
    const rotated = JSON.parse(await run('key', 'rotate', '--new-master-key-file', newFile(), '--json'));
    await expectServes();
    const retire = ['--master-key-file', newFile(), 'key', 'retire', rotated.old_master_key];
    await refused(/uses it$/)(retire);
    const present = join(world.home.env.XDG_CONFIG_HOME as string, 'mcp-token-broker', 'master.key');
    renameSync(present, `${present}.old`);
    renameSync(newFile(), present);
    await daemon.process.stop();
    daemon = await world.startDaemon();
    await run('key', 'retire', rotated.old_master_key);
    await expectServes();
    const result = await world.run(['--master-key-file', `${present}.old`, 'list']);
    expectFailure(result, 3, /is not the key of this vault$/);
  });

  it('is told what to do next', async () => {
    const data = await world.run(['key', 'rotate']);
    expect(data.stderr).toMatch(/^✔ 2 sealed values moved to the new data key \S+\nnext: broker key status /);
    const master = await world.run(['key', 'rotate', '--new-master-key-file', newFile()]);
    expect(master.stderr).toContain(`broker --master-key-file ${newFile()} key retire `);
    expect(existsSync(newFile())).toBe(true);
    await refused(/an earlier change of the master key is not finished yet$/)(['key', 'rotate']);
    await refused(/is still needed: this very command opened the vault with it$/)([
      ...['key', 'retire'],
      /key retire (\S+)/.exec(master.stderr)?.[1] as string,
    ]);
  });
});
