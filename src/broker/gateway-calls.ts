/** Calls through the gateway, as the audit trail tells of them. */
import type { CallVerdict, Metrics } from '../metrics.ts';
import { requestIds } from '../request-context.ts';
import type { AuditRecord } from '../vault/audit.ts';
import { actorOf, type Caller, type Context } from './context.ts';

/** One message of an agent, and what became of it. */
export interface GatewayCall {
  connection: string;
  /** Row of the credential. Undefined: it was refused before one was needed. */
  connectionId: string | undefined;
  account: string | null;
  /** JSON-RPC method, or `GET` and `DELETE`. */
  method: string;
  /** Tool, prompt or resource. Undefined: the method names none. */
  name: string | undefined;
  /** SHA-256 of the arguments. Undefined: there were none. */
  argumentsHash: string | undefined;
  /** The arguments themselves, where the daemon was told to keep them. */
  arguments: string | undefined;
  /** Which rule let it through or refused it. */
  rule: string;
  /** `ok`, or the code of the refusal or failure. */
  outcome: string;
  /** HTTP status of the server. Undefined: nothing was sent, or nothing came. */
  status: number | undefined;
  /** Bytes of the answer passed on. */
  bytes: number;
  durationMs: number;
  token: string | null;
}

/** Writes down a call that went through, at most 100 ms late. */
export function noteCall({ handOuts, metrics }: Context, caller: Caller, call: GatewayCall): void {
  count(metrics, call);
  const { connectionId } = call;
  const agentName = caller.kind === 'agent' ? caller.agent.name : undefined;
  handOuts.add({ connectionId, agentName, record: recordOf(caller, call) });
}

/** Writes down a call that was refused, before the agent is told. */
export async function noteRefusedCall(
  { vault, metrics }: Context,
  caller: Caller,
  call: GatewayCall,
): Promise<void> {
  count(metrics, call);
  await vault.transaction(() => vault.audit.append(recordOf(caller, call)));
}

/** What was refused at the door may be anybody's invention: only a connection that was opened is told by name. */
function count(
  metrics: Metrics,
  { connection, connectionId, method, outcome, durationMs }: GatewayCall,
): void {
  const known = connectionId === undefined ? undefined : connection;
  // A stream that waits for whatever the server may say is open for hours, and no slow call.
  metrics.gatewayCall(known, verdictOf(outcome), method === 'GET' ? undefined : durationMs);
}

/** Codes of refusals; a message refused together with another was not sent either. */
const DENIED = new Set([
  ...['forbidden', 'not_sent', 'not_found', 'session_unknown'],
  ...['bad_request', 'parse_error', 'header_mismatch'],
]);

function verdictOf(outcome: string): CallVerdict {
  if (outcome === 'ok') return 'allowed';
  return DENIED.has(outcome) ? 'denied' : 'failed';
}

function recordOf(caller: Caller, call: GatewayCall): AuditRecord {
  const { connection, account, method, name, argumentsHash, rule, status, bytes, durationMs, token } = call;
  return {
    actor: actorOf(caller),
    action: 'call',
    connection,
    outcome: call.outcome,
    detail: {
      method,
      ...(name === undefined ? {} : { name }),
      ...(account === null ? {} : { account }),
      ...(argumentsHash === undefined ? {} : { arguments_hash: argumentsHash }),
      ...(call.arguments === undefined ? {} : { arguments: call.arguments }),
      rule,
      ...(status === undefined ? {} : { status }),
      bytes,
      duration_ms: durationMs,
      ...(token === null ? {} : { token }),
      ...requestIds(),
    },
  };
}
