import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../src/clock.ts';

describe('the system clock', () => {
  it('shows the time of day', () => {
    const before = Date.now();
    expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  });

  it('ends a wait', async () => {
    await expect(systemClock.wait(1)).resolves.toBeUndefined();
  });

  it('keeps the process alive while somebody waits', () => {
    const script = `import('${new URL('../src/clock.ts', import.meta.url)}')
      .then(({ systemClock }) => systemClock.wait(50)).then(() => console.log('over'))`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('over\n');
  });

  it('ends a wait early with the reason it was aborted for', async () => {
    const stop = new AbortController();
    const waiting = systemClock.wait(1_000_000, stop.signal);
    const reason = new Error('enough');
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(systemClock.wait(1_000_000, stop.signal)).rejects.toBe(reason);
  });
});
