import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { STEP_CHANNEL, type Step } from '../../src/steps.ts';

/** Does something once, in the middle of the work, when a broker of this process reaches `step`. */
export function atStep(step: Step, act: () => void): void {
  const listener = (reached: unknown) => {
    if (reached !== step) return;
    unsubscribe(STEP_CHANNEL, listener);
    act();
  };
  subscribe(STEP_CHANNEL, listener);
}
