/** How many requests and streams each agent has open. */
import type { Caller } from '../broker/context.ts';
import { BrokerError } from '../errors.ts';

export interface Crowd {
  /** Counts one in; what it returns counts it out. Throws `rate_limited` when the agent has enough. */
  enter(caller: Caller, most: number): () => void;
}

export function createCrowd(): Crowd {
  const open = new Map<string, number>();
  return {
    enter(caller, most) {
      if (caller.kind === 'operator') return () => {};
      const { name } = caller.agent;
      const before = open.get(name) ?? 0;
      if (before >= most) {
        throw new BrokerError(
          'rate_limited',
          `agent ${name} has ${before} calls and streams open, and may not have more`,
          {
            hint: `end some, or ask an operator for more: broker agent set ${name} --concurrency <calls>`,
            retryAfterSeconds: 1,
          },
        );
      }
      open.set(name, before + 1);
      return () => {
        const left = (open.get(name) ?? 1) - 1;
        if (left === 0) open.delete(name);
        else open.set(name, left);
      };
    },
  };
}
