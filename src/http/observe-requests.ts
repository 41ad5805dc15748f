/**
 * What every request leaves behind, whatever door it came by: an id that its answer and all its log lines carry, a
 * count, and one line in the access log.
 *
 * The id is put into the answer by whoever writes its headers (`requestIdHeader`): set here before them, it would make
 * Node write all of them in its slow way.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { readRequestId, readTraceId } from '../core/trace-context.ts';
import { printable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { forRequest, type RequestContext } from '../request-context.ts';
import { routeOf } from './route-pattern.ts';

export interface ObservingOptions {
  clock: Clock;
  log: Log;
  metrics: Metrics;
}

/** The same handler, observed. */
export function observeRequests(
  handler: RequestListener,
  { clock, log, metrics }: ObservingOptions,
): RequestListener {
  return (request, response) => {
    const context = contextOf(request);
    const startedAt = clock.now();
    // Express takes parts off the URL on its way.
    const [path = ''] = (request.url ?? '').split('?');
    response.once('close', () => {
      const status = statusOf(response);
      metrics.requestAnswered(routeOf(path), status);
      if (log.isLevelEnabled('info')) forRequest(context, () => tell(status));
    });
    forRequest(context, () => handler(request, response));

    function tell(status: number | undefined): void {
      const { method } = request;
      const durationMs = Math.max(0, clock.now() - startedAt);
      // What the caller hung up on is told without a status, or as cut short.
      const isCut = !response.writableFinished;
      log.info(
        {
          ...{ method, path: printable(path) },
          ...(status === undefined ? {} : { status }),
          ...(isCut ? { aborted: true } : {}),
          duration_ms: durationMs,
          ...(context.agent === undefined ? {} : { agent: context.agent }),
        },
        'request',
      );
    }
  };
}

function contextOf({ headers }: IncomingMessage): RequestContext {
  return {
    requestId: readRequestId(headers['x-request-id']) ?? randomUUID(),
    traceId: readTraceId(headers.traceparent),
  };
}

/** Undefined: the answer had not begun when the connection ended. */
function statusOf(response: ServerResponse): number | undefined {
  return response.headersSent ? response.statusCode : undefined;
}
