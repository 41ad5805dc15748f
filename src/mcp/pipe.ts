/** What lies behind a session that is bridged: whatever takes the messages of one client, and gives those of its server. */
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { UpstreamAnswer, UpstreamRequest } from './upstream.ts';

export type { JSONRPCMessage };

export interface Pipe {
  /** A session that nobody has used for so long is ended. */
  readonly idleEndMs: number;
  /**
   * Sends one message of a request, with whose credential it goes. Resolves when it was taken, with nothing; or with the
   * answer that refused it. Rejects when nobody could take it.
   */
  send(message: JSONRPCMessage, request: UpstreamRequest): Promise<UpstreamAnswer | undefined>;
  /** Asks for no more messages until `resume`: the client does not read. */
  pause(): void;
  resume(): void;
  /** Resolves when nothing of it is left. */
  close(): Promise<void>;
}

/** Where a pipe ends at the side of the client. */
export interface PipeEnd {
  onMessage(message: JSONRPCMessage): void;
  /** It is closed from behind. */
  onEnd(why: string): void;
}

/** Opens the way to a server for one session. An answer instead: the server refused. */
export type Connect = (
  access: UpstreamAccess,
  request: UpstreamRequest,
  end: PipeEnd,
) => Promise<Pipe | UpstreamAnswer>;
