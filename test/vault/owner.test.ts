import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { createOwner, isGone, processOf } from '../../src/vault/owner.ts';

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(script: string): ChildProcess {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  return child;
}

/** An owner as the process `pid` on this machine would be. */
function ownerOf(pid: number, changes: { machine?: string; start?: string } = {}): string {
  const [machine] = createOwner().split('/');
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return [changes.machine ?? machine, pid, changes.start ?? startedAt, 'some-uuid'].join('/');
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('an owner', () => {
  it('names this process, and differs each time', () => {
    expect(processOf(createOwner())).toBe(process.pid);
    expect(createOwner()).not.toBe(createOwner());
  });

  it('is there while its process lives', async () => {
    const child = start('sleep 30');
    expect(isGone(createOwner())).toBe(false);
    expect(isGone(ownerOf(child.pid as number))).toBe(false);
  });

  it('is gone when its process was killed', async () => {
    const child = start('sleep 30');
    const owner = ownerOf(child.pid as number);
    await kill(child);
    expect(isGone(owner)).toBe(true);
  });

  it('is gone when its process id belongs to a later process', () => {
    expect(isGone(ownerOf(process.pid, { start: '1' }))).toBe(true);
  });

  it('is gone when its process ended and its parent has not looked', async () => {
    // The shell becomes a sleep, which never asks for its child.
    const parent = start('sleep 0.01 & echo $!; exec sleep 30');
    const [line] = await once(parent.stdout as NodeJS.ReadableStream, 'data');
    const pid = Number(String(line).trim());
    const owner = ownerOf(pid);
    const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
    await expect.poll(state).toBe('Z');
    expect(isGone(owner)).toBe(true);
  });

  it('of another machine, or another world of process ids, is never judged', async () => {
    const child = start('sleep 30');
    const elsewhere = ownerOf(child.pid as number, { machine: '0123456789abcdef' });
    const unknown = ownerOf(child.pid as number, { start: '-' });
    await kill(child);
    expect(isGone(elsewhere)).toBe(false);
    expect(isGone(unknown)).toBe(false);
    expect(isGone('-/1/1/some-uuid')).toBe(false);
    expect(isGone('someone')).toBe(false);
  });
});
