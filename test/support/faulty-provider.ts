/**
 * oidc-provider with the faults of the hostile server around its token endpoint: a server we did not write,
 * so that nothing holds only because client and server misunderstand the standards alike. It rotates and revokes
 * by itself; a fault spoils its answer, or keeps the request from it.
 *
 * It keeps real time, and its tokens live for an hour or more of it: no test lasts that long, so nothing ends
 * by itself, however far the brokers' clock is moved. Its `expires_in` of 3600 counts for the brokers from
 * their own receipt. Only the grace window goes by their clock: it has none, and is given one here.
 */
import type { ServerResponse } from 'node:http';
import type { LoginRequest } from '../../src/broker/login.ts';
import { fingerprint } from '../../src/secret.ts';
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import { type FaultRule, sendFault } from './fault.ts';
import { type Family, type FaultServer, type FaultWorld, startFaultWorld } from './fault-world.ts';
import { createFaultyRefreshes, type Decision, type FaultyRefreshes } from './faulty-refreshes.ts';
import { inGrace } from './grace.ts';
import { FAULTS } from './hostile-faults.ts';
import type { PresentationOutcome, TokenEndpointAnswer } from './hostile-grants.ts';
import { startMcpServer } from './mcp-server.ts';
import { createReach, type Reach } from './reach.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { refreshLedger } from './refresh-ledger.ts';

export interface FaultyProviderOptions {
  clock: { now(): number };
  /** How long after its use a refresh token is answered once more, with its successor. Default 0. */
  graceMs?: number;
}

interface Parts extends Required<FaultyProviderOptions> {
  provider: AuthorizationServer;
  refreshes: FaultyRefreshes;
}

type Body = Record<string, unknown>;

/** What every login is granted, the same as at the hostile server. */
const SCOPE = 'mcp:read mcp:write';

/** Starts it on loopback, with a real MCP server as the protected resource. */
export async function startFaultyProvider({
  clock,
  graceMs = 0,
}: FaultyProviderOptions): Promise<FaultServer> {
  let reach: Reach | undefined;
  const provider = await startAuthorizationServer({
    metadata: (document) => ({ ...document, token_endpoint: `${reach?.tokenOrigin()}/token` }),
  });
  reach = createReach(provider.issuer, provider.setListening);
  const mcp = await startMcpServer({ authorizationServer: provider, scope: SCOPE });
  const refreshes = createFaultyRefreshes(clock);
  const parts = { provider, refreshes, clock, graceMs };
  provider.fail(tokenRule(parts));
  return {
    url: mcp.url,
    ...{ presentations: refreshes.presentations, delivered: refreshes.delivered },
    ...{ untilHeld: refreshes.untilHeld, letGo: refreshes.letGo },
    approve: (authorizationUrl) => provider.approve(authorizationUrl),
    async fault(name, { times = Number.POSITIVE_INFINITY } = {}) {
      refreshes.setFault(name, times);
      await reach.set(name === undefined ? undefined : FAULTS[name].act);
    },
    isAlive: (print) => isAlive(parts, print),
    family: () => familyOf(parts),
    async close() {
      refreshes.letGo();
      await reach.close();
      await mcp.close();
      await provider.close();
    },
  };
}

/** A world at oidc-provider. */
export function startProviderWorld({
  request,
  ...options
}: Omit<FaultyProviderOptions, 'clock'> & { request?: Partial<LoginRequest> } = {}): Promise<FaultWorld> {
  return startFaultWorld((clock) => startFaultyProvider({ clock, ...options }), request);
}

/** Leads refreshes through the faults, and notes what a login gave. */
function tokenRule(parts: Parts): FaultRule {
  const { refreshes } = parts;
  return (request) => {
    const { grantType, form } = request;
    if (grantType === 'refresh_token') {
      const token = form?.refresh_token ?? '';
      return {
        instead: (response, ask) =>
          refreshes.serve(token, response, () => decide(parts, token, request, response, ask)),
      };
    }
    if (grantType !== 'authorization_code') return undefined;
    return {
      async instead(_response, ask) {
        const send = await ask();
        refreshes.noteDelivered(request.answer as Body);
        send();
      },
    };
  };
}

/** What the grace window says to a refresh, else what oidc-provider does. */
async function decide(
  parts: Parts,
  token: string,
  request: RecordedRequest,
  response: ServerResponse,
  ask: () => Promise<() => void>,
): Promise<Decision> {
  const again = answerAgain(parts, token);
  if (again) return { ...again, outcome: 'grace', send: () => void sendFault(response, again) };
  const send = await ask();
  const { status, answer } = request;
  return { status, body: answer as Body, outcome: outcomeOf(parts, token, request), send };
}

/** As strict as the hostile server: once, inside the window, and as long as the successor was never used. */
function answerAgain(parts: Parts, token: string): TokenEndpointAnswer | undefined {
  const { provider, clock, graceMs } = parts;
  const used = shown(parts, token, 'rotated');
  if (!used || clock.now() - used.at >= graceMs || shown(parts, token, 'grace')) return undefined;
  const form = { refresh_token: token };
  const again = inGrace(provider.requests)({ grantType: 'refresh_token', form });
  return again && !shown(parts, String(again.body.refresh_token), 'rotated') ? again : undefined;
}

function outcomeOf(parts: Parts, token: string, { status, answer }: RecordedRequest): PresentationOutcome {
  if (status === 200) return 'rotated';
  if ((answer as Body).error !== 'invalid_grant') return 'refused';
  return shown(parts, token, 'rotated') ? 'reused' : 'unknown';
}

/** When a refresh token was first shown with this outcome. */
const shown = ({ refreshes }: Parts, token: string, wanted: PresentationOutcome) =>
  refreshes.presentations.find(
    ({ fingerprint: print, outcome }) => print === fingerprint(token) && outcome === wanted,
  );

async function isAlive(parts: Parts, print: string): Promise<boolean> {
  const { provider } = parts;
  const issued = provider.requests.map(({ answer }) => (answer as Body | undefined)?.refresh_token);
  const token = issued.find((each) => typeof each === 'string' && fingerprint(each) === print);
  if (typeof token !== 'string') return false;
  return answerAgain(parts, token) !== undefined || provider.refreshTokenIsActive(token);
}

/** The ledger tells which tokens belong to the last login, and oidc-provider whether the newest is good. */
async function familyOf(parts: Parts): Promise<Family> {
  const ledger = refreshLedger(parts.provider.requests);
  const newest = ledger.at(-1);
  return {
    revoked: !(await isAlive(parts, newest?.fingerprint ?? '')),
    generation: ledger.filter(({ login }) => login === newest?.login).length,
  };
}
