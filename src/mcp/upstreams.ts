/** All ways to a server, and which one leads to whom. */
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { isInitialize } from './bridge.ts';
import { discard } from './discard.ts';
import { createSseUpstream } from './sse-upstream.ts';
import { createStdioUpstream } from './stdio-upstream.ts';
import { createHttpUpstream, type Upstream, type UpstreamAnswer, type UpstreamRequest } from './upstream.ts';

export interface Upstreams {
  upstream: Upstream;
  /** Ends programs and streams, and resolves when they are gone. */
  close(): Promise<void>;
}

/** What servers of the older transport answer to a POST where only GET leads somewhere (MCP, Backwards Compatibility). */
const NOT_STREAMABLE = [400, 404, 405];

export function createUpstreams(parts: { broker: Broker; clock: Clock; log: Log }): Upstreams {
  const { broker, clock, log } = parts;
  const dispatcherFor = broker.gateway.dispatcher;
  const http = createHttpUpstream(dispatcherFor);
  const sse = createSseUpstream({ dispatcherFor, clock });
  const stdio = createStdioUpstream(parts);

  /** A server that refuses the first message of a session may speak the older transport; what it is stays known. */
  async function findOut(access: UpstreamAccess, request: UpstreamRequest): Promise<UpstreamAnswer> {
    const answer = await http(access, request);
    if (!NOT_STREAMABLE.includes(answer.status) || !isInitialize(request)) return answer;
    // Why it does not speak that either is of no interest: the agent is told what its own request was answered.
    const older = await sse.upstream(access, request).catch(() => undefined);
    if (older?.status !== 200) {
      if (older) discard(older.body);
      return answer;
    }
    discard(answer.body);
    log.info({ connection: access.connection }, 'the server speaks the older transport, HTTP with SSE');
    await broker.gateway.learnTransport(access.server, 'sse');
    return older;
  }

  return {
    upstream(access, request) {
      if (access.transport === 'stdio') return stdio.upstream(access, request);
      if (access.transport === 'sse') return sse.upstream(access, request);
      return findOut(access, request);
    },
    async close() {
      await Promise.all([stdio.close(), sse.close()]);
    },
  };
}
