/**
 * Preloaded into a child with `--import`: writes down every step the program reaches, and kills it at one of them, or
 * puts it to sleep there.
 *
 * SIGKILL, because nothing may be flushed, released or told any more, as when the power fails. SIGSTOP, because no
 * timer and no socket is looked at until somebody sends SIGCONT, as on a machine that is suspended. And at once, in
 * the middle of the call that publishes the step: nothing of the program comes after it.
 */
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { STEP_CHANNEL } from '../../src/steps.ts';

/**
 * `STOP_AT_OCCURRENCE`: which time, counted from 1. `STOP_SIGNAL`: SIGKILL or SIGSTOP. `STEPS_FILE`: where the steps
 * reached are written, one a line.
 */
const { STOP_AT_STEP, STOP_AT_OCCURRENCE = '1', STOP_SIGNAL = 'SIGKILL', STEPS_FILE } = process.env;

let timesLeft = Number(STOP_AT_OCCURRENCE);

if (STEPS_FILE !== undefined) {
  subscribe(STEP_CHANNEL, (step) => {
    appendFileSync(STEPS_FILE, `${step}\n`);
    if (step !== STOP_AT_STEP) return;
    timesLeft -= 1;
    if (timesLeft !== 0) return;
    process.kill(process.pid, STOP_SIGNAL);
    if (STOP_SIGNAL === 'SIGSTOP') return;
    // Should the signal take a moment to arrive, it finds the thread here.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0);
  });
}
