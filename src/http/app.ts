/** The HTTP API. The order of `app.use` is its table of contents. */
import type { RequestListener } from 'node:http';
import express, { type Express, type Request } from 'express';
import type { AskProgram } from '../broker/check-probe.ts';
import type { Broker } from '../broker/index.ts';
import type { Prometheus } from '../broker/prometheus.ts';
import type { Clock } from '../clock.ts';
import { CALLBACK_ROUTE } from '../core/callback-uri.ts';
import type { Log } from '../log.ts';
import { authenticate, callerOf } from './authenticate.ts';
import { callbackRoute } from './callback.ts';
import { connectionRoutes } from './connections.ts';
import { type GatewayHandler, gatewayRoute } from './gateway-route.ts';
import { type GuardOptions, guard } from './guard.ts';
import { loginRoutes } from './logins.ts';
import { metricsRoute } from './metrics.ts';
import { oauthRoutes } from './oauth-token.ts';
import { observeRequests } from './observe-requests.ts';
import { openApiRoute } from './openapi/route.ts';
import { answerWithProblem, noSuchRoute } from './problem.ts';

export interface AppOptions extends GuardOptions {
  broker: Broker;
  clock: Clock;
  log: Log;
  /** URL under which clients reach this listener, without a slash at its end. */
  baseUrl: string;
  /** Answers requests of agents to MCP servers; never rejects. */
  gateway: GatewayHandler;
  /** How a check asks programs. */
  askProgram: AskProgram;
  /** Where browsers come back after a login. Undefined: nowhere. */
  callbackUri: () => string | undefined;
  /** Undefined: nobody counts, and there is no `/metrics`. */
  prometheus?: Prometheus | undefined;
}

/** The handler for one listener. Calls of the gateway, which may be many, do not pass through the app. */
export function createHandler(options: AppOptions): RequestListener {
  const app = createApp(options);
  const answerGateway = gatewayRoute(options);
  const { clock, log, broker } = options;
  const handler: RequestListener = (request, response) => {
    if (!answerGateway(request, response)) app(request, response);
  };
  return observeRequests(handler, { clock, log, metrics: broker.observability.metrics });
}

/** All routes but those of the gateway that `gatewayRoute` takes. */
export function createApp(options: AppOptions): Express {
  const { broker, clock, log, hosts, origins, baseUrl, callbackUri, gateway, askProgram, prometheus } =
    options;
  const app = express();
  app.disable('x-powered-by');
  // Answers are not to be stored, so a tag for comparing stored copies is wasted work.
  app.disable('etag');
  app.use(guard({ hosts, origins }));
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', async (_request, response) => {
    const { isReady, status } = await broker.readiness();
    response
      .status(isReady ? 200 : 503)
      .type('text/plain')
      .send(`${status}\n`);
  });
  app.get('/openapi.json', openApiRoute(baseUrl));
  app.use(oauthRoutes({ broker, clock, log, baseUrl }));
  app.get(CALLBACK_ROUTE, callbackRoute(broker, callbackUri));
  if (prometheus) app.get('/metrics', authenticate(broker), metricsRoute(broker, prometheus));
  app.use('/v1/connections', authenticate(broker), connectionRoutes(broker, clock, askProgram));
  app.use('/v1/logins', authenticate(broker), loginRoutes(broker, callbackUri));
  // Names that are written in another way than `gatewayRoute` takes, such as with %40.
  app.all('/mcp/:name', authenticate(broker), (request: Request<{ name: string }>, response) =>
    gateway(callerOf(response), request.params.name, request, response),
  );
  app.use(noSuchRoute);
  app.use(answerWithProblem(log));
  return app;
}
