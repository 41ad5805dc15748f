/**
 * A restore that is killed, or asleep, on its way: what is there is the vault before or the restored one, whole. Given
 * again, it is finished.
 */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Step } from '../../src/steps.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';

const FILES = (pid: number) => `/proc/${pid}/fd`;
const needsProc = existsSync(FILES(process.pid)) ? '' : ' (needs /proc)';

/** Resolves when the process has the file open. */
async function opened(pid: number, path: string): Promise<void> {
  for (;;) {
    const files = readdirSync(FILES(pid)).map((each) => {
      try {
        return readlinkSync(join(FILES(pid), each));
      } catch {
        return '';
      }
    });
    if (files.includes(path)) return;
    await new Promise(setImmediate);
  }
}

/** The vault before has been refreshed since the backup was made. */
const BEFORE = { generation: 2, state: 'ok', code: null };
const RESTORED = { generation: 1, state: 'uncertain', code: 'restored' };

let world: ProcessWorld;
let args: string[];

const row = () => connectionRow(world.vaultPath) as object;

beforeEach(async () => {
  world = await startProcessWorld();
  const path = join(world.home.path, 'x.backup');
  await world.here((broker) => broker.backups.make({ path, force: false, keep: undefined }));
  await world.here((broker) => broker.refresh(OPERATOR, 'demo'));
  args = ['restore', path, '--force'];
});

afterEach(() => world.close());

describe('a restore that is killed', () => {
  it.each<[Step, string, object]>([
    ['restore.prepared', 'the vault before is served and can be refreshed', BEFORE],
    ['restore.put-aside', 'the vault before is served and can be refreshed', BEFORE],
    ['restore.replaced', 'the restored vault is served, although nobody was told', RESTORED],
  ])('at %s: %s; given again, it is finished', async (step, _, left) => {
    const { process, steps } = world.trace(args, { step });
    expect(await process.exited, process.stderr()).toBeNull();
    expect(steps().at(-1)).toBe(step);

    expect(existsSync(`${world.vaultPath}-wal`)).toBe(false);
    expect(row()).toMatchObject(left);
    expect(rowsOf(world.vaultPath, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
    if (left === BEFORE) expect(await world.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
    else expect(await world.servedToken()).not.toBe('');

    const again = await world.run([...args, '--json']);
    expect(again.code, again.stderr).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({ uncertain: ['demo'] });
    expect(row()).toMatchObject(RESTORED);
  });

  it.skipIf(needsProc)(
    `is never seen half: who comes while it sleeps waits, and finds the restored vault${needsProc}`,
    async () => {
      const { process, steps } = world.trace(args, { step: 'restore.put-aside', signal: 'SIGSTOP' });
      while (!steps().includes('restore.put-aside')) await new Promise(setImmediate);
      const comer = world.trace(['show', 'demo', '--json']);
      await opened(comer.process.process.pid as number, world.vaultPath);
      process.process.kill('SIGCONT');
      expect([await process.exited, await comer.process.exited]).toEqual([0, 0]);
      expect(JSON.parse(comer.process.stdout())).toMatchObject(RESTORED);
      expect(row()).toMatchObject(RESTORED);
      expect(rowsOf(world.vaultPath, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
    },
  );
});
