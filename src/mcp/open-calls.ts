/**
 * Calls that wait for an answer, so that one the agent cancels does not stay open. Servers need not answer it any more
 * (MCP, Cancellation), and some then leave its stream open: it would take up one of the agent's places for minutes.
 */
import type { Caller } from '../broker/context.ts';
import type { Clock } from '../clock.ts';
import type { RequestId } from '../core/mcp-message.ts';
import { type Call, requestIds } from './call.ts';
import { CallCancelled, type TimeLimits } from './time-limits.ts';

export interface OpenCalls {
  /** Counts a call in; what it returns counts it out. */
  enter(caller: Caller, connection: string, call: Call, time: TimeLimits): () => void;
  /** Looks which calls the messages of this one cancel. To be called when the server has them. */
  cancelledBy(caller: Caller, connection: string, call: Call): void;
}

/** What a server may still want to say about a call that was cancelled. */
const GRACE_MS = 5_000;

interface OpenCall {
  time: TimeLimits;
  /** Stops the wait for its end, once it was cancelled. */
  waiting?: AbortController;
}

export function createOpenCalls(clock: Pick<Clock, 'wait'>): OpenCalls {
  const open = new Map<string, OpenCall>();

  async function endSoon(call: OpenCall): Promise<void> {
    call.waiting ??= new AbortController();
    await clock.wait(GRACE_MS, call.waiting.signal);
    call.time.cancel(new CallCancelled('the agent cancelled the call'));
  }

  return {
    enter(caller, connection, call, time) {
      const keys = requestIds(call.messages).map((id) => keyOf(caller, connection, call, id));
      const entry: OpenCall = { time };
      for (const key of keys) open.set(key, entry);
      return () => {
        for (const key of keys) if (open.get(key) === entry) open.delete(key);
        entry.waiting?.abort();
      };
    },
    cancelledBy(caller, connection, call) {
      for (const message of call.messages) {
        if (message.kind !== 'notification' || message.method !== 'notifications/cancelled') continue;
        const { requestId } = message.params;
        if (typeof requestId !== 'string' && typeof requestId !== 'number') continue;
        const found = open.get(keyOf(caller, connection, call, requestId));
        if (found) endSoon(found).catch(() => {});
      }
    },
  };
}

/** Ids are of one agent and session; the type counts, because "1" and 1 are two ids. */
function keyOf(caller: Caller, connection: string, { sessionId }: Call, id: RequestId): string {
  const who = caller.kind === 'agent' ? caller.agent.name : '';
  return JSON.stringify([who, connection, sessionId ?? '', id]);
}
