/** `GET /metrics`: the numbers, for agents with the admin right. */
import type { RequestHandler } from 'express';
import type { Broker } from '../broker/index.ts';
import type { Prometheus } from '../broker/prometheus.ts';
import { callerOf } from './authenticate.ts';

/** The route. The agent must be known already. */
export function metricsRoute({ observability }: Broker, prometheus: Prometheus): RequestHandler {
  return async (_request, response) => {
    await observability.requireAllowed(callerOf(response));
    const text = await prometheus.scrape(observability.observe);
    response.set('Content-Type', prometheus.contentType).send(text);
  };
}
