/**
 * `broker check --prometheus-file`: a file for the textfile collector of node_exporter, in the text format of Prometheus.
 */
import type { CheckCode } from './check-policy.ts';
import type { CheckedConnection } from './checked-connection.ts';

/** What a check came to. Findings are missing where nobody could look. */
export interface CheckRun {
  findings: readonly CheckedConnection[];
  exitCode: number;
  /** Epoch ms. */
  at: number;
}

interface Metric {
  name: string;
  help: string;
  samples: [labels: Record<string, string>, value: number][];
}

const PREFIX = 'mcp_token_broker_';

/** The whole file. A metric without a value is left out. */
export function prometheusText({ findings, exitCode, at }: CheckRun): string {
  const each = (read: (finding: CheckedConnection) => number | undefined): Metric['samples'] =>
    findings.flatMap((finding) => {
      const value = read(finding);
      return value === undefined || Number.isNaN(value)
        ? []
        : [[{ connection: finding.connection }, value] as const];
    }) as Metric['samples'];
  const instants = (field: InstantField) => each((finding) => seconds(finding[field]));
  const metrics: Metric[] = [
    {
      name: 'check_timestamp_seconds',
      help: 'When broker check ran last.',
      samples: [[{}, Math.floor(at / 1000)]],
    },
    {
      name: 'check_exit_code',
      help: 'Exit code of broker check: 0 fine, 1 soon, 2 somebody must act, 3 no vault or daemon, 75 provider down.',
      samples: [[{}, exitCode]],
    },
    {
      name: 'connection_state',
      help: 'The state a connection is in.',
      samples: findings.map(({ connection, state }) => [{ connection, state }, 1]),
    },
    {
      name: 'connection_check_exit_code',
      help: 'Exit code of broker check for this connection alone.',
      samples: each(({ exit_code }): CheckCode => exit_code),
    },
    {
      name: 'connection_probe_success',
      help: 'Whether the server took the credential when it was called.',
      samples: each(({ probe }) => (probe === undefined ? undefined : Number(probe.ok))),
    },
    {
      name: 'connection_expires_timestamp_seconds',
      help: 'When the access token ends.',
      samples: instants('expires_at'),
    },
    {
      name: 'connection_last_refresh_timestamp_seconds',
      help: 'When the present access token came.',
      samples: instants('last_refreshed_at'),
    },
    {
      name: 'connection_refresh_token_age_seconds',
      help: 'Since when the broker has the present refresh token.',
      samples: each(({ refresh_token_age }) => refresh_token_age),
    },
    {
      name: 'connection_refresh_token_idle_limit_seconds',
      help: 'How long the server keeps a refresh token that nobody uses.',
      samples: each(({ refresh_token_idle_limit }) => refresh_token_idle_limit),
    },
    {
      name: 'connection_refresh_token_expires_timestamp_seconds',
      help: 'When the refresh token ends, as its server told.',
      samples: instants('refresh_token_expires_at'),
    },
    {
      name: 'client_secret_expires_timestamp_seconds',
      help: 'When the client secret of a connection ends.',
      samples: instants('client_secret_expires_at'),
    },
  ];
  return metrics.flatMap(lines).join('');
}

type InstantField =
  | 'expires_at'
  | 'last_refreshed_at'
  | 'refresh_token_expires_at'
  | 'client_secret_expires_at';

function seconds(instant: string | undefined): number | undefined {
  return instant === undefined ? undefined : Date.parse(instant) / 1000;
}

function lines({ name, help, samples }: Metric): string[] {
  if (samples.length === 0) return [];
  const whole = `${PREFIX}${name}`;
  const rows = samples.map(([labels, value]) => `${whole}${labelText(labels)} ${value}\n`);
  return [`# HELP ${whole} ${help}\n`, `# TYPE ${whole} gauge\n`, ...rows];
}

function labelText(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
