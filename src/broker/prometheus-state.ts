/** The metrics that tell how things stand: set anew whenever somebody asks. */
import { Gauge, type Registry } from 'prom-client';
import type { ConnectionState } from '../core/connection.ts';
import type { Observation } from './observability.ts';
import { PREFIX } from './prometheus-names.ts';

const STATES: readonly ConnectionState[] = [
  ...(['ok', 'degraded', 'uncertain', 'login_required'] as const),
  ...(['client_invalid', 'config_error', 'disabled'] as const),
];

/** @returns what shows a moment. Connections that could not be read are left out: old numbers would be wrong ones. */
export function createStateGauges(registers: Registry[]): (seen: Observation) => void {
  const gauge = (name: string, help: string) =>
    new Gauge({ name: PREFIX + name, help, labelNames: ['connection'], registers });
  const plain = (name: string, help: string) => new Gauge({ name: PREFIX + name, help, registers });

  const state = new Gauge({
    ...{
      name: `${PREFIX}connection_state`,
      help: 'State of a connection: 1 for the one it is in',
      registers,
    },
    labelNames: ['connection', 'state'],
  });
  const loginRequired = gauge('login_required', 'Whether an operator must sign in again');
  const expiresIn = gauge('access_token_expires_in_seconds', 'Time until the access token ends');
  const renewable = gauge('connection_renewable', 'Whether a newer token can be had without a person');
  const age = gauge('refresh_token_age_seconds', 'Time since the present refresh token was received');
  const secretEnd = gauge('client_secret_expires_in_seconds', 'Time until the secret of the client ends');
  const vaultUp = plain('vault_up', 'Whether the vault could be read');
  const ready = plain('ready', 'Whether the daemon can do its work, as /readyz says');
  const lastTurn = plain('scheduler_last_turn_timestamp_seconds', 'When the scheduler last looked');
  const unsaved = plain('unsaved_pairs', 'New tokens that wait to be saved');
  const waiting = plain('audit_records_waiting', 'Records that wait to be written to the audit trail');

  return ({ connections, isReady, schedulerLastTurnAt, unsavedPairs, auditWaiting }) => {
    for (const each of [state, loginRequired, expiresIn, renewable, age, secretEnd]) each.reset();
    for (const { name: connection, ...seen } of connections ?? []) {
      for (const each of STATES) state.set({ connection, state: each }, seen.state === each ? 1 : 0);
      loginRequired.set({ connection }, seen.state === 'login_required' ? 1 : 0);
      renewable.set({ connection }, seen.isRenewable ? 1 : 0);
      setKnown(expiresIn, connection, seen.expiresInSeconds);
      setKnown(age, connection, seen.refreshTokenAgeSeconds);
      setKnown(secretEnd, connection, seen.clientSecretExpiresInSeconds);
    }
    vaultUp.set(connections === undefined ? 0 : 1);
    ready.set(isReady ? 1 : 0);
    // Without a scheduler there is no number, or alerts would take it for one that is stuck since 1970.
    if (schedulerLastTurnAt === null) lastTurn.remove();
    else lastTurn.set(schedulerLastTurnAt / 1000);
    unsaved.set(unsavedPairs);
    waiting.set(auditWaiting);
  };
}

/** What nobody knows is no number. */
function setKnown(gauge: Gauge<'connection'>, connection: string, value: number | null): void {
  if (value !== null) gauge.set({ connection }, value);
}
