import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { watchClocks } from '../../src/broker/doctor-server.ts';
import { openPractice } from '../support/doctor.ts';
import { fetch, serveRoutes } from '../support/provider.ts';

const A_MINUTE_MS = 60_000;
const AN_HOUR_MS = 60 * A_MINUTE_MS;

const { world, start, startConnected, signIn, examineOne } = openPractice();

describe('key and files', () => {
  const otherKey = () => {
    const file = join(world().home.path, 'other.key');
    writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600 });
    return { masterKey: { ...world().settings.masterKey, file } };
  };

  it('with a wrong key fail before anything can be looked up', async () => {
    await startConnected();
    const { code, step, verdicts } = await examineOne('demo', otherKey());
    expect(step('key')).toMatchObject({ verdict: 'failed', code: 'key_wrong' });
    expect(verdicts).toMatchObject({ files: 'ok', clock: 'skipped', discovery: 'skipped' });
    expect(code).toBe(3);
  });

  it('with a wrong key still let a URL be examined', async () => {
    await startConnected();
    const { code, names, verdicts } = await examineOne(world().mcp.url, otherKey());
    expect(names).toEqual(['key', 'files', 'clock', 'discovery', 'registration']);
    expect(verdicts).toMatchObject({ key: 'failed', discovery: 'ok', registration: 'ok' });
    expect(code).toBe(3);
  });

  it('with a key file others can read say how to close it', async () => {
    await startConnected();
    chmodSync(world().settings.masterKey.defaultFile, 0o604);
    const { code, step } = await examineOne();
    expect(step('key')).toMatchObject({ verdict: 'failed', code: 'key_unsafe' });
    expect(step('key')?.remedy).toContain('chmod 600');
    expect(code).toBe(3);
  });

  it.each([
    ['home', () => dirname(world().vaultPath), 0o755, '700'],
    ['vault', () => world().vaultPath, 0o640, '600'],
  ])('warn of a %s that is open to others', async (_, path, mode, wanted) => {
    await startConnected();
    chmodSync(path(), mode);
    const { code, step } = await examineOne();
    expect(step('files')).toMatchObject({ verdict: 'warning', remedy: `chmod ${wanted} ${path()}` });
    expect(code).toBe(1);
  });
});

describe('the clock', () => {
  it.each([
    [-29_000, 'ok', 'agrees with'],
    [3 * A_MINUTE_MS, 'warning', '3 min ahead of 127.0.0.1'],
    [-3 * A_MINUTE_MS, 'warning', '3 min behind 127.0.0.1'],
    [10 * A_MINUTE_MS, 'failed', '10 min ahead of 127.0.0.1'],
  ])('that is wrong by %i ms is %s', async (ms, verdict, words) => {
    await start();
    world().clock.jump(ms);
    const { step } = await examineOne(world().mcp.url);
    expect(step('clock')).toMatchObject({ verdict });
    expect(step('clock')?.message).toContain(words);
  });

  it('that was set back since the vault was written fails', async () => {
    await start();
    world().clock.jump(AN_HOUR_MS);
    await signIn();
    world().clock.jump(-AN_HOUR_MS);
    const { code, step } = await examineOne();
    expect(step('clock')).toMatchObject({ verdict: 'failed' });
    expect(step('clock')?.message).toMatch(
      /^the vault was written 60 min in the future: .+; agrees with 127/,
    );
    expect(code).toBe(2);
  });

  it('is not compared with what a cache answers', async () => {
    await start();
    const date = new Date(0).toUTCString();
    const server = await serveRoutes(() => ({
      '/cached': { status: 200, headers: { date, age: '60' } },
      '/fresh': { status: 200, headers: { date } },
    }));
    const watch = watchClocks({ clock: world().clock, fetchFor: () => fetch });
    await watch.fetchFor('private')(`${server.url}/cached`);
    expect(watch.skews).toEqual([]);
    await watch.fetchFor('private')(`${server.url}/fresh`);
    expect(watch.skews).toEqual([{ ms: world().clock.now() - 1000, host: new URL(server.url).host }]);
    await server.close();
  });
});
