import type { Fault, FaultRule } from './fault.ts';
import type { RecordedRequest } from './recorded-request.ts';

/** Holds requests back until a test lets them go. */
export interface Gate {
  /** To be given to a server as its fault rule. */
  rule: FaultRule;
  /** Resolves when the first request stands at the gate. */
  arrived: Promise<void>;
  /** How many have come so far. */
  count(): number;
  /** Lets those waiting and all later ones pass, under `fault` if there is one. */
  open(fault?: Fault): void;
}

/** Creates a gate for the requests that `isHeld` picks. */
export function createGate(isHeld: (request: RecordedRequest) => boolean): Gate {
  const opened = Promise.withResolvers<Fault | undefined>();
  const arrived = Promise.withResolvers<void>();
  let count = 0;
  return {
    rule(request) {
      if (!isHeld(request)) return undefined;
      count += 1;
      arrived.resolve();
      return opened.promise;
    },
    arrived: arrived.promise,
    count: () => count,
    open: opened.resolve,
  };
}

/** Picks refreshes. */
export const isRefresh = ({ grantType }: RecordedRequest) => grantType === 'refresh_token';
