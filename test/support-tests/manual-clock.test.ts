import { describe, expect, it } from 'vitest';
import { createManualClock } from '../support/manual-clock.ts';

describe('the manual clock', () => {
  it('ends due waits in order of their time, each at its own time', async () => {
    const clock = createManualClock(0);
    const ended: [string, number][] = [];
    const note = (name: string) => () => void ended.push([name, clock.now()]);
    void clock.wait(30).then(note('late'));
    void clock.wait(10).then(note('early'));
    void clock.wait(99).then(note('never'));
    await clock.advance(50);
    expect(ended).toEqual([
      ['early', 10],
      ['late', 30],
    ]);
    expect(clock.now()).toBe(50);
    expect(clock.waiting()).toBe(1);
  });

  it('ends waits that begin while it advances', async () => {
    const clock = createManualClock(0);
    const at: number[] = [];
    const loop = (async () => {
      for (let round = 0; round < 3; round += 1) {
        await clock.wait(10);
        at.push(clock.now());
      }
    })();
    await clock.advance(35);
    await loop;
    expect(at).toEqual([10, 20, 30]);
  });

  it('rejects an aborted wait with the reason', async () => {
    const clock = createManualClock();
    const stop = new AbortController();
    const waiting = clock.wait(10, stop.signal);
    stop.abort('stopped');
    await expect(waiting).rejects.toBe('stopped');
    await expect(clock.wait(10, stop.signal)).rejects.toBe('stopped');
    expect(clock.waiting()).toBe(0);
  });

  it('jumps without ending waits', async () => {
    const clock = createManualClock(0);
    void clock.wait(10);
    clock.jump(1_000_000);
    await clock.advance(9);
    expect(clock.waiting()).toBe(1);
    expect(clock.now()).toBe(1_000_009);
    await clock.advance(1);
    expect(clock.waiting()).toBe(0);
  });

  it('tells when code has begun to wait', async () => {
    const clock = createManualClock();
    const two = clock.untilWaiting(2);
    void clock.wait(1);
    setImmediate(() => void clock.wait(2));
    await two;
    expect(clock.waiting()).toBe(2);
  });
});
