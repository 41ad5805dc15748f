/** Begins a session that is bridged: first the pipe to the server, then the transport in front of it. */
import { randomUUID } from 'node:crypto';
import { BridgeSession, type Opening, type Session } from './bridge-session.ts';
import { discard } from './discard.ts';
import type { Pipe } from './pipe.ts';
import { unlessAborted } from './unless-aborted.ts';
import type { UpstreamAnswer } from './upstream.ts';

/** Opens the pipe to the server for a new session. An answer instead: the server refused. */
export async function openSession(opening: Opening): Promise<Session | UpstreamAnswer> {
  const { WebStandardStreamableHTTPServerTransport } = await import('@modelcontextprotocol/server');
  const id = randomUUID();
  // Comments that keep a stream alive would look like a server that still works on it.
  const front = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => id,
    keepAliveMs: 0,
    // Behind it streams are closed, and nobody could be told why.
    onsessionclosed: () => session.onDeleted(),
  });
  const session = new BridgeSession(id, front, opening);
  const connecting = opening.connect(opening.access, opening.request, session);
  const pipe = await unlessAborted(opening.request.signal, connecting).catch((error: unknown) => {
    // An agent that gave up before leaves nobody else to close it.
    connecting.then(abandon).catch(() => {});
    throw error;
  });
  if ('status' in pipe) return pipe;
  session.attach(pipe);
  return session;
}

function abandon(pipe: Pipe | UpstreamAnswer): Promise<void> | undefined {
  if (!('status' in pipe)) return pipe.close();
  discard(pipe.body);
  return undefined;
}
