/**
 * What the gateway needs to know of a call before it lets it through: where the server is, with which credential, and
 * what this agent may use there.
 */
import { isDeepStrictEqual } from 'node:util';
import { isLive } from '../core/access-policy.ts';
import { enteringCommand } from '../core/connection.ts';
import { NO_RULES, OPEN_SERVER, type Policy } from '../core/gateway-policy.ts';
import { parseConnectionName } from '../core/names.ts';
import type { Network, Transport } from '../core/server-settings.ts';
import { BrokerError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { findAgent } from '../vault/agents.ts';
import { findServer, type Server } from '../vault/servers.ts';
import { findFor } from './access.ts';
import type { Caller, Context } from './context.ts';
import { obtainHeaders } from './headers.ts';
import { serverOf, type TokenQuery } from './tokens.ts';

/** A caller's way to a server, for one call. */
export interface UpstreamAccess {
  /** Whose way it is. */
  caller: Caller;
  connection: string;
  /** Row the credential lies in. */
  connectionId: string;
  account: string | null;
  server: string;
  /** The MCP endpoint. Of a program `stdio:` and its name, where nothing could be sent. */
  url: string;
  transport: Transport;
  network: Network;
  /** What an operator does when the credential is refused for good. */
  enteringCommand: string;
  /** What a tool's error says when the login has ended. */
  endedLoginTexts: readonly string[];
  /** The credential, as the server wants it: header names to values. */
  headers: Readonly<Record<string, Secret>>;
  generation: number;
  /** Fingerprint of the token sent. Null: it is no token. */
  token: string | null;
  policy: Policy;
  /** Whether the caller may still use it, by the same rules; for streams that stay open. */
  isStillSo(): Promise<boolean>;
}

/**
 * Opens the way for one call, with a token refreshed if need be.
 *
 * Throws `not_found`, `forbidden` (not its mode), and what `getHeaders` throws.
 */
export async function openUpstream(
  context: Context,
  caller: Caller,
  name: string,
  query: Pick<TokenQuery, 'rejectedGeneration'> = {},
): Promise<UpstreamAccess> {
  const stored = await findFor(context, caller, name, 'gateway');
  const server = await serverOf(context, parseConnectionName(name)?.server ?? '');
  if (!server)
    throw new BrokerError('not_found', `there is no connection ${name} for this agent`, { connection: name });
  const { granted, holder, token } = await obtainHeaders(context, caller, stored, query);
  context.metrics.tokenIssued(name, 'gateway');
  return {
    caller,
    connection: name,
    connectionId: holder.id,
    account: holder.accountIdentity,
    server: server.name,
    url: server.url ?? `stdio:${server.name}`,
    transport: server.settings.transport,
    network: server.settings.network,
    enteringCommand: enteringCommand(holder),
    endedLoginTexts: server.settings.endedLoginTexts,
    headers: granted.headers,
    generation: granted.generation,
    token,
    policy: policyFor(caller, name, server),
    isStillSo: () => isStillSo(context, caller, name, server),
  };
}

/** A new agent of the same name is another one. */
async function isStillSo(
  { vault, clock }: Context,
  caller: Caller,
  name: string,
  { policy: before }: Server,
): Promise<boolean> {
  if (caller.kind === 'operator') return true;
  return vault.run(function* () {
    const agent = yield* findAgent(caller.agent.name);
    const server = yield* findServer(parseConnectionName(name)?.server ?? '');
    if (!agent || !server || agent.createdAt !== caller.agent.createdAt) return false;
    return (
      isLive(agent, clock.now()) &&
      isDeepStrictEqual([agent.policy, server.policy], [caller.agent.policy, before])
    );
  });
}

/** The operator, who wrote the rules, is bound by none. */
function policyFor(caller: Caller, connection: string, { policy: server }: Server): Policy {
  if (caller.kind === 'operator')
    return { connection, agentName: 'operator', agent: OPEN_SERVER, server: OPEN_SERVER };
  const { name: agentName, policy } = caller.agent;
  const { tools, prompts = NO_RULES, resources = NO_RULES } = policy;
  return { connection, agentName, agent: { tools, prompts, resources }, server };
}
