/**
 * Named moments in the journeys whose order keeps a grant from being lost.
 *
 * Nothing listens in normal operation. The reliability harness does, and kills the process exactly there, to
 * prove that a crash between any two of them loses nothing.
 */
import { channel } from 'node:diagnostics_channel';

/** All moments, in the order in which their journey reaches them. */
export const STEPS = [
  'login.client-saved',
  'login.remembered',
  'login.answered',
  'login.consumed',
  'login.redeemed',
  'login.sealed',
  'login.saved',
  'refresh.leased',
  'refresh.journaled',
  'refresh.answered',
  'refresh.sealed',
  'refresh.saved',
  'refresh.released',
  'logout.leased',
  'logout.revoked',
  'logout.erased',
  'logout.deregistered',
  'data-key.made',
  'data-key.resealed',
  'master-key.wrapped',
  'key.retired',
  'restore.prepared',
  'restore.put-aside',
  'restore.replaced',
] as const;

export type Step = (typeof STEPS)[number];

/** Where the steps are published. */
export const STEP_CHANNEL = 'mcp-token-broker:step';

const steps = channel(STEP_CHANNEL);

/** Says that the moment has come. */
export function reached(step: Step): void {
  if (steps.hasSubscribers) steps.publish(step);
}
