import { afterEach, expect, test, vi } from 'vitest';
import { tellSystemd } from '../../src/cli/systemd.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** What is said on stderr while systemd is told. */
async function wordsOf(notifySocket: string | undefined): Promise<string> {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  await tellSystemd('READY=1', { notifySocket });
  return write.mock.calls.map(([each]) => String(each)).join('');
}

test('a daemon that cannot tell it is ready says so, and goes on', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  expect(await wordsOf('/nonexistent/notify')).toContain(
    'systemd was not told READY=1: systemd-notify failed (ENOENT)',
  );
});

test('where nobody waits to hear it, nothing is started', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  expect(await wordsOf(undefined)).toBe('');
});
