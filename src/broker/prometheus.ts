/**
 * The numbers as Prometheus reads them: what is counted as it happens, and what is looked at when somebody asks.
 *
 * A registry for each daemon, never the global one of the library. Labels are bounded: names of connections that exist,
 * and words of ours. docs/operating.md describes each metric.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { boundedCode } from '../core/bounded-code.ts';
import { AUTHENTICATION_FAILURES, type Metrics } from '../metrics.ts';
import type { Observation } from './observability.ts';
import { PREFIX } from './prometheus-names.ts';
import { createStateGauges } from './prometheus-state.ts';

export interface Prometheus {
  /** What the broker counts with. */
  metrics: Metrics;
  /** `Content-Type` of what `scrape` gives. */
  contentType: string;
  /** All numbers, in the text format. Never rejects. */
  scrape(observe: () => Promise<Observation>): Promise<string>;
}

/** How closely stalls of the event loop are watched; the usual 10 ms would wake an idle daemon 100 times a second. */
const LOOP_RESOLUTION_MS = 20;

/** Seconds: from a server in the same house to the deadline of a request. */
const REFRESH_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds: at once, as a rule; then another process is at work. */
const LEASE_BUCKETS = [0.01, 0.1, 0.5, 1, 5, 10, 20, 45];
/** Seconds: calls of tools may take minutes. */
const CALL_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export interface PrometheusOptions {
  version: string;
  /** Whether the process and its event loop are told of as well: once in a process. */
  ofProcess: boolean;
}

export function createPrometheus({ version, ofProcess }: PrometheusOptions): Prometheus {
  const registry = new Registry();
  const registers = [registry];
  // Under the names that dashboards for Node know: `process_…` and `nodejs_…`.
  const processRegistry = new Registry();
  if (ofProcess)
    collectDefaultMetrics({ register: processRegistry, eventLoopMonitoringPrecision: LOOP_RESOLUTION_MS });

  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name: PREFIX + name, help, labelNames, buckets, registers });

  const issued = counter('tokens_issued_total', 'Credentials given out, by door', ['connection', 'door']);
  const refreshes = counter('refreshes_total', 'Refreshes asked for, by what came of them', [
    'connection',
    'outcome',
    'code',
  ]);
  const refreshDuration = histogram(
    'refresh_duration_seconds',
    'Time until a server had answered a refresh',
    ['outcome'],
    REFRESH_BUCKETS,
  );
  const leaseWait = histogram(
    'lease_wait_seconds',
    'Time until a connection was free to be refreshed',
    [],
    LEASE_BUCKETS,
  );
  const calls = counter('gateway_calls_total', 'Messages to the gateway, by verdict', [
    'connection',
    'verdict',
  ]);
  const callDuration = histogram(
    'gateway_call_duration_seconds',
    'Time until a call through the gateway had ended',
    ['verdict'],
    CALL_BUCKETS,
  );
  const failures = counter('authentication_failures_total', 'Callers refused for want of a valid key', [
    'reason',
  ]);
  const requests = counter('http_requests_total', 'Requests, by route and class of status', [
    'route',
    'status',
  ]);
  const scrapeErrors = counter('scrape_errors_total', 'Scrapes that could not tell everything', ['part']);
  const buildInfo = new Gauge({
    ...{ name: `${PREFIX}build_info`, help: 'Versions of the broker and of Node; always 1', registers },
    labelNames: ['version', 'node'],
  });
  buildInfo.set({ version, node: process.versions.node }, 1);
  // So that the first failure is a rise, and not a series that was not there before.
  for (const part of ['vault', 'process']) scrapeErrors.inc({ part }, 0);
  for (const reason of AUTHENTICATION_FAILURES) failures.inc({ reason }, 0);
  const show = createStateGauges(registers);

  return {
    contentType: registry.contentType,
    metrics: {
      tokenIssued: (connection, door) => issued.inc({ connection, door }),
      refreshed(connection, outcome, code, durationMs) {
        refreshes.inc({ connection, outcome, code: boundedCode(code) });
        refreshDuration.observe({ outcome }, durationMs / 1000);
      },
      leaseTaken: (waitedMs) => leaseWait.observe(waitedMs / 1000),
      gatewayCall(connection = '', verdict, durationMs) {
        calls.inc({ connection, verdict });
        if (durationMs !== undefined) callDuration.observe({ verdict }, durationMs / 1000);
      },
      authenticationFailed: (reason) => failures.inc({ reason }),
      requestAnswered: (route, status) => requests.inc({ route, status: statusClass(status) }),
    },
    async scrape(observe) {
      const seen = await observe();
      if (seen.connections === undefined) scrapeErrors.inc({ part: 'vault' });
      show(seen);
      const ofNode = await processRegistry.metrics().catch(() => {
        scrapeErrors.inc({ part: 'process' });
        return '';
      });
      return [await registry.metrics(), ofNode].filter((text) => text !== '').join('\n');
    },
  };
}

/** `2xx`; `none` for a caller that hung up before there was an answer. */
function statusClass(status: number | undefined): string {
  return status === undefined ? 'none' : `${Math.floor(status / 100)}xx`;
}
