/** Tells the audit trail of each message of a call: who wanted what of which server, and what came of it. */
import { hash } from 'node:crypto';
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { GatewayCall } from '../broker/gateway-calls.ts';
import type { Broker } from '../broker/index.ts';
import type { Clock } from '../clock.ts';
import type { McpMessage } from '../core/mcp-message.ts';
import { BrokerError, printable, systemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Call } from './call.ts';
import type { Judged } from './judge-call.ts';
import { GatewayRefusal } from './refusal.ts';
import { CallCancelled, CallTimeout, ClientGone, Stopping } from './time-limits.ts';

/** What is known of a call so far. */
export interface Outcome {
  /** Epoch ms. */
  startedAt: number;
  bytes: number;
  /** Undefined: it was refused before a credential was needed. */
  access?: UpstreamAccess;
  judged?: Judged[];
  /** HTTP status of the server. */
  status?: number;
  /** Whether the answer is a stream of events. */
  isStream?: boolean;
  /** What came of it although the server answered. Default `ok`. */
  code?: string;
}

export interface CallNotes {
  /** Tells of a call that went through. */
  passed(caller: Caller, connection: string, call: Call, outcome: Outcome): void;
  /** Tells of a call that did not. Refusals are on disk when it resolves. */
  failed(
    caller: Caller,
    connection: string,
    call: Call | undefined,
    outcome: Outcome,
    error: unknown,
  ): Promise<void>;
}

/** Arguments that are kept are kept up to this length. */
const MOST_KEPT = 8_192;

export function createCallNotes({
  broker,
  clock,
  log,
  auditArguments,
}: {
  broker: Broker;
  clock: Clock;
  log: Log;
  auditArguments: boolean;
}): CallNotes {
  function recordsOf(connection: string, call: Call, outcome: Outcome, code: string): GatewayCall[] {
    const { access, judged, bytes, status, startedAt } = outcome;
    const common = {
      connection,
      connectionId: access?.connectionId,
      account: access?.account ?? null,
      token: access?.token ?? null,
      ...{ status, bytes, outcome: code, durationMs: Math.max(0, clock.now() - startedAt) },
    };
    if (call.verb !== 'POST')
      return [
        {
          ...common,
          method: call.verb,
          name: undefined,
          argumentsHash: undefined,
          arguments: undefined,
          rule: 'none',
        },
      ];
    const isRefused = judged?.some(({ verdict }) => !verdict.isAllowed) ?? false;
    return call.messages.flatMap((message, index) => {
      if (message.kind === 'response') return [];
      const { name, verdict } = judged?.[index] ?? { name: undefined, verdict: undefined };
      const own = isRefused && verdict?.isAllowed ? { outcome: 'not_sent' } : {};
      const said = { method: message.method, name: name === undefined ? undefined : printable(name) };
      return [{ ...common, ...said, ...argumentsOf(message), rule: verdict?.rule ?? 'none', ...own }];
    });
  }

  function argumentsOf(message: McpMessage): Pick<GatewayCall, 'argumentsHash' | 'arguments'> {
    const given = message.kind === 'response' ? undefined : message.params.arguments;
    if (given === undefined) return { argumentsHash: undefined, arguments: undefined };
    const text = JSON.stringify(given);
    return {
      argumentsHash: hash('sha256', text, 'base64url'),
      arguments: auditArguments ? text.slice(0, MOST_KEPT) : undefined,
    };
  }

  return {
    passed(caller, connection, call, outcome) {
      for (const record of recordsOf(connection, call, outcome, outcome.code ?? 'ok'))
        broker.gateway.note(caller, record);
    },
    async failed(caller, connection, call, outcome, error) {
      const code = codeOf(error);
      const records = call ? recordsOf(connection, call, outcome, code) : [unread(connection, outcome, code)];
      const isRefusal = error instanceof GatewayRefusal;
      for (const record of records) {
        if (!isRefusal) broker.gateway.note(caller, record);
        else
          await broker.gateway
            .noteRefused(caller, record)
            .catch((cause: unknown) => log.error({ err: cause }, 'a refusal could not be written down'));
      }
    },
  };
}

/** A request that could not be read. */
function unread(connection: string, { bytes }: Outcome, code: string): GatewayCall {
  return {
    connection,
    ...{ connectionId: undefined, account: null, method: 'POST', name: undefined, argumentsHash: undefined },
    ...{
      arguments: undefined,
      rule: 'none',
      outcome: code,
      status: undefined,
      bytes,
      durationMs: 0,
      token: null,
    },
  };
}

function codeOf(error: unknown): string {
  if (error instanceof GatewayRefusal || error instanceof BrokerError) return error.code;
  if (error instanceof CallTimeout) return 'timeout';
  if (error instanceof ClientGone) return 'client_gone';
  if (error instanceof CallCancelled) return 'cancelled';
  if (error instanceof Stopping) return 'stopped';
  return systemCode(error) ?? 'internal';
}
