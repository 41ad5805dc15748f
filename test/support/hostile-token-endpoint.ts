/** The token endpoint of the hostile server, where the faults happen, and the record of what was shown to it. */
import type { ServerResponse } from 'node:http';
import { fingerprint } from '../../src/secret.ts';
import { FAULTS, type FaultBehaviour, type FaultName } from './hostile-faults.ts';
import type { GrantStore, PresentationOutcome, TokenEndpointAnswer } from './hostile-grants.ts';
import type { Logins } from './hostile-logins.ts';
import { type RequestAct, sendJson, sendUnderFault } from './hostile-wire.ts';

/** One refresh token shown to the server. */
export interface Presentation {
  /** As `Secret.fingerprint()` computes it. */
  fingerprint: string;
  /** By the server's clock, epoch ms. */
  at: number;
  outcome: PresentationOutcome;
  /** What spoilt the answer. */
  faulted?: FaultName;
}

export interface TokenEndpoint {
  /** Every refresh token shown, in order. */
  presentations: Presentation[];
  /** Fingerprints of refresh tokens in answers that left whole and readable: nobody has an excuse to lose one. */
  delivered: string[];
  /** Answers one token request. */
  serve(form: URLSearchParams, response: ServerResponse): Promise<void>;
  /** The next `times` refreshes meet `name`, in place of the fault before; undefined ends it. */
  setFault(name: FaultName | undefined, times: number): void;
  /** Resolves when a refresh that came after the fault was set is held, or drips. */
  untilHeld(): Promise<void>;
  /** Lets held requests go on, and those to come under the same fault. */
  letGo(): void;
}

export interface TokenEndpointOptions {
  clock: { now(): number };
  grants: GrantStore;
  logins: Logins;
}

/** No fault: the server's own answer as it is. */
const SOUND: FaultBehaviour = { commits: true, act: { kind: 'change', change: (body) => body } };

/** An endpoint without a fault. */
export function createTokenEndpoint({ clock, grants, logins }: TokenEndpointOptions): TokenEndpoint {
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

  function noteDelivered({ body }: TokenEndpointAnswer): void {
    if (typeof body.refresh_token === 'string') delivered.push(fingerprint(body.refresh_token));
  }

  async function refresh(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const token = form.get('refresh_token') ?? '';
    const faulted = takeFault();
    const { commits, act }: FaultBehaviour = faulted === undefined ? SOUND : FAULTS[faulted];
    const presentation = present(token, faulted);
    let decided: TokenEndpointAnswer | undefined;
    const decide = () => {
      if (decided) return decided;
      const { outcome, ...answer } = grants.refresh(token, form.get('client_id') ?? '', form.get('resource'));
      presentation.outcome = outcome;
      decided = answer;
      return answer;
    };
    if (commits) decide();
    const delivery = await sendUnderFault(response, act as RequestAct, decide, wire);
    if (delivery === 'delivered') noteDelivered(decide());
  }

  return {
    presentations,
    delivered,
    async serve(form, response) {
      const grantType = form.get('grant_type');
      if (!logins.isClient(form.get('client_id'))) {
        sendJson(response, 401, { error: 'invalid_client' });
      } else if (grantType === 'refresh_token') {
        await refresh(form, response);
      } else if (grantType === 'authorization_code') {
        const redeemed = logins.redeem(form);
        const answer = 'status' in redeemed ? redeemed : grants.begin(redeemed);
        noteDelivered(answer);
        sendJson(response, answer.status, answer.body);
      } else {
        sendJson(response, 400, { error: 'unsupported_grant_type' });
      }
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
