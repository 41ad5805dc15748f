import { afterEach, describe, expect, it } from 'vitest';
import { endStatus, showProgress, startStatus } from '../../src/cli/status-line.ts';
import { createManualClock } from '../support/manual-clock.ts';

afterEach(endStatus);

/** A terminal that shows what would be on its last line. */
function createScreen(isTTY: boolean) {
  let line = '';
  return {
    isTTY,
    write(text: string) {
      line = (line + text).split('\r\u001b[2K').at(-1) as string;
    },
    line: () => line,
  };
}

describe('the line that says that a command is still at work', () => {
  it('comes after a second, counts, and goes without a trace', async () => {
    const clock = createManualClock();
    const screen = createScreen(true);
    startStatus('broker check', { clock, stream: screen });
    await clock.advance(999);
    expect(screen.line()).toBe('');
    await clock.advance(1);
    expect(screen.line()).toBe('broker check: still at it, 1 s');
    await clock.advance(4000);
    expect(screen.line()).toBe('broker check: still at it, 5 s');
    showProgress(250, 1000, 'rows');
    await clock.advance(1000);
    expect(screen.line()).toBe('broker check: still at it, 6 s, 250 of 1000 rows');
    endStatus();
    expect(screen.line()).toBe('');
    await clock.advance(10_000);
    expect(screen.line()).toBe('');
    expect(clock.waiting()).toBe(0);
  });

  it('is not for programs that read along', async () => {
    const clock = createManualClock();
    const screen = createScreen(false);
    startStatus('broker check', { clock, stream: screen });
    await clock.advance(5000);
    expect(screen.line()).toBe('');
    expect(clock.waiting()).toBe(0);
  });
});
