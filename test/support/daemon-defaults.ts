import type { DaemonOptions } from '../../src/daemon.ts';

/** Options of a daemon that need not be said. */
export const DAEMON_DEFAULTS: DaemonOptions = {
  addresses: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
  publicUrl: undefined,
  allowedHosts: [],
  allowedOrigins: [],
  socketMode: 0o600,
  tls: undefined,
  insecureListen: false,
};
