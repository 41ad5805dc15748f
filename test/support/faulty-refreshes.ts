/** The refreshes of a token endpoint, where the faults happen, and the record of what was shown to it. */
import type { ServerResponse } from 'node:http';
import { fingerprint } from '../../src/secret.ts';
import { FAULTS, type FaultBehaviour, type FaultName } from './hostile-faults.ts';
import type { PresentationOutcome, TokenEndpointAnswer } from './hostile-grants.ts';
import { type RequestAct, sendUnderFault } from './hostile-wire.ts';

/** One refresh token shown to the server. */
export interface Presentation {
  /** As `Secret.fingerprint()` computes it. */
  fingerprint: string;
  /** By the clock of the faults, epoch ms. */
  at: number;
  outcome: PresentationOutcome;
  /** What spoilt the answer. */
  faulted?: FaultName;
}

/** What the server made of a refresh, not sent yet. */
export interface Decision extends TokenEndpointAnswer {
  outcome: PresentationOutcome;
  /** Sends it as the server would have. */
  send(): void;
}

export interface FaultyRefreshes {
  /** Every refresh token shown, in order. */
  presentations: Presentation[];
  /** Fingerprints of refresh tokens in answers that left whole and readable: no excuse to lose one. */
  delivered: string[];
  /** Notes the refresh token of an answer that is not one to a refresh. */
  noteDelivered(body: Record<string, unknown>): void;
  /** Answers one refresh under the fault there is. `decide` lets the server act, once at most. */
  serve(token: string, response: ServerResponse, decide: () => Decision | Promise<Decision>): Promise<void>;
  /** The next `times` refreshes meet `name`, in place of the fault before; undefined ends it. */
  setFault(name: FaultName | undefined, times: number): void;
  /** Resolves when a refresh that came after the fault was set is held, or drips. */
  untilHeld(): Promise<void>;
  /** Lets held requests go on, and those to come under the same fault. */
  letGo(): void;
}

/** No fault, and nothing shown. */
export function createFaultyRefreshes(clock: { now(): number }): FaultyRefreshes {
  const presentations: Presentation[] = [];
  const delivered: string[] = [];
  let fault: { name: FaultName; times: number } | undefined;
  let gate = Promise.withResolvers<void>();
  let arrived = Promise.withResolvers<void>();

  const wire = {
    now: () => clock.now(),
    hold() {
      arrived.resolve();
      return gate.promise;
    },
  };

  function takeFault(): FaultName | undefined {
    if (fault === undefined || fault.times === 0) return undefined;
    fault.times -= 1;
    return fault.name;
  }

  function present(token: string, faulted: FaultName | undefined): Presentation {
    const shown: Presentation = { fingerprint: fingerprint(token), at: clock.now(), outcome: 'unseen' };
    if (faulted !== undefined) shown.faulted = faulted;
    presentations.push(shown);
    return shown;
  }

  function noteDelivered({ refresh_token }: Record<string, unknown>): void {
    if (typeof refresh_token === 'string') delivered.push(fingerprint(refresh_token));
  }

  return {
    presentations,
    delivered,
    noteDelivered,
    async serve(token, response, decide) {
      const faulted = takeFault();
      const presentation = present(token, faulted);
      let decision: Promise<Decision> | undefined;
      const decideOnce = () => {
        decision ??= Promise.resolve(decide()).then((made) => {
          presentation.outcome = made.outcome;
          return made;
        });
        return decision;
      };
      if (faulted === undefined) {
        const { body, send } = await decideOnce();
        noteDelivered(body);
        send();
        return;
      }
      const { commits, act }: FaultBehaviour = FAULTS[faulted];
      if (commits) await decideOnce();
      const delivery = await sendUnderFault(response, act as RequestAct, decideOnce, wire);
      if (delivery === 'delivered') noteDelivered((await decideOnce()).body);
    },
    setFault(name, times) {
      fault = name === undefined ? undefined : { name, times };
      gate = Promise.withResolvers();
      arrived = Promise.withResolvers();
    },
    untilHeld: () => arrived.promise,
    letGo: () => gate.resolve(),
  };
}
