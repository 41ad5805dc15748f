/**
 * Who holds a lease, in words that another process can check.
 *
 * A lease ends by itself, but a killed process should not keep others waiting that long: refresh tokens that were
 * shown and not answered are forgiven by most servers for some seconds only. So an owner names its process, and
 * whoever lives on the same machine can see that it is gone.
 */
import { hash, randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { systemCode } from '../errors.ts';

/** Stands for what cannot be told: such an owner is never judged gone. */
const UNKNOWN = '-';

/** A new owner in this process: `machine/process id/start/uuid`. */
export function createOwner(): string {
  return [machine(), process.pid, statusOf(process.pid)?.start ?? UNKNOWN, randomUUID()].join('/');
}

/** Whether the owner's process certainly lives no more. False where that cannot be known, as from another machine. */
export function isGone(owner: string): boolean {
  const [where, pid, start] = owner.split('/');
  if (where === UNKNOWN || where !== machine() || start === UNKNOWN) return false;
  const now = statusOf(Number(pid));
  if (now) return now.start !== start || now.isDead;
  return !isRunning(Number(pid));
}

/** Whether the owner's process certainly lives: it may be at work, or asleep. False where that cannot be known. */
export function isLiving(owner: string): boolean {
  const [where, pid, start] = owner.split('/');
  if (where === UNKNOWN || where !== machine()) return false;
  const now = statusOf(Number(pid));
  return now !== undefined && now.start === start && !now.isDead;
}

/** The id of the process an owner names. */
export function processOf(owner: string): number {
  return Number(owner.split('/')[1]);
}

let known: string | undefined;

/** Names this machine since its boot, and the world of process ids we live in: containers have their own. */
function machine(): string {
  known ??= readMachine();
  return known;
}

function readMachine(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const namespaces = ['pid', 'time'].map((each) => readlinkSync(`/proc/self/ns/${each}`));
    return hash('sha256', [boot, ...namespaces].join(), 'hex').slice(0, 16);
  } catch {
    return UNKNOWN;
  }
}

interface ProcessStatus {
  /** When it was started, in ticks since boot: a process id may be given out again. */
  start: string;
  /** Killed, though its parent has not looked yet. */
  isDead: boolean;
}

/** Undefined: not told, or there is no such process. */
function statusOf(pid: number): ProcessStatus | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold spaces and brackets itself. What follows is state, …, starttime (proc(5)).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state = ''] = fields;
    return { start: fields[19] ?? UNKNOWN, isDead: 'ZX'.includes(state) };
  } catch {
    return undefined;
  }
}

/** Signal 0 only asks. A process of another user may not be signalled, but is there. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}
