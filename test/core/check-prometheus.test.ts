import { describe, expect, it } from 'vitest';
import { prometheusText } from '../../src/core/check-prometheus.ts';
import type { CheckedConnection } from '../../src/core/checked-connection.ts';
import { NOW } from '../support/connection.ts';

const CODA: CheckedConnection = {
  connection: 'coda',
  state: 'ok',
  exit_code: 1,
  message: 'the client secret ends in 3 days',
  expires_at: '2026-01-01T01:00:00Z',
  last_refreshed_at: '2026-01-01T00:00:00Z',
  refresh_token_age: 60,
  refresh_token_idle_limit: 2_592_000,
  refresh_token_expires_at: '2026-02-01T00:00:00Z',
  client_secret_expires_at: '2026-01-04T00:00:00Z',
  probe: { ok: false },
};
const WIKI: CheckedConnection = {
  connection: 'wiki@al',
  state: 'login_required',
  exit_code: 2,
  message: '…',
};

const samples = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('the file for the textfile collector', () => {
  it('has what is known of each connection, and leaves out what is not', () => {
    const text = prometheusText({ findings: [CODA, WIKI], exitCode: 2, at: NOW + 1_500 });
    expect(samples(text)).toEqual(
      [
        'check_timestamp_seconds 1767225601',
        'check_exit_code 2',
        'connection_state{connection="coda",state="ok"} 1',
        'connection_state{connection="wiki@al",state="login_required"} 1',
        'connection_check_exit_code{connection="coda"} 1',
        'connection_check_exit_code{connection="wiki@al"} 2',
        'connection_probe_success{connection="coda"} 0',
        'connection_expires_timestamp_seconds{connection="coda"} 1767229200',
        'connection_last_refresh_timestamp_seconds{connection="coda"} 1767225600',
        'connection_refresh_token_age_seconds{connection="coda"} 60',
        'connection_refresh_token_idle_limit_seconds{connection="coda"} 2592000',
        'connection_refresh_token_expires_timestamp_seconds{connection="coda"} 1769904000',
        'client_secret_expires_timestamp_seconds{connection="coda"} 1767484800',
      ].map((line) => `mcp_token_broker_${line}`),
    );
  });

  it('explains each metric once, before its samples, and no other', () => {
    const lines = prometheusText({ findings: [WIKI, CODA], exitCode: 2, at: NOW })
      .trimEnd()
      .split('\n');
    const names = new Set(lines.filter((line) => !line.startsWith('#')).map((line) => line.split(/[{ ]/)[0]));
    expect(lines.filter((line) => line.startsWith('# TYPE'))).toEqual(
      [...names].map((name) => `# TYPE ${name} gauge`),
    );
    expect(lines.filter((line) => line.startsWith('# HELP'))).toHaveLength(names.size);
  });

  it('tells also when nobody could look', () => {
    expect(samples(prometheusText({ findings: [], exitCode: 3, at: NOW }))).toEqual([
      'mcp_token_broker_check_timestamp_seconds 1767225600',
      'mcp_token_broker_check_exit_code 3',
    ]);
  });

  it('escapes labels: a name was typed, and a daemon answered it', () => {
    const text = prometheusText({ findings: [{ ...WIKI, connection: 'a"b\\c\nd' }], exitCode: 2, at: NOW });
    expect(text).toContain('connection_state{connection="a\\"b\\\\c\\nd",state="login_required"} 1\n');
  });
});
