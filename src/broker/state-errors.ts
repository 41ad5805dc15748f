/** A connection that cannot serve, as the error its callers get: what happened and what to do next. */
import { type Connection, fixingCommand } from '../core/connection.ts';
import { DEFAULT_RETRY_SECONDS } from '../core/error-status.ts';
import { askableAt } from '../core/schedule.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';

/** `login_required`, `client_invalid`, `config_error`, or `upstream_unavailable` while a retry may help. */
export function stateError(connection: Connection, now: number): BrokerError {
  const { name, state } = connection;
  const because = connection.cause === null ? '' : `: ${connection.cause}`;
  const needsPerson = (code: ErrorCode, message: string) =>
    new BrokerError(code, `${message}${because}`, {
      hint: fixingCommand(connection) ?? undefined,
      connection: name,
    });
  switch (state) {
    case 'login_required':
      return needsPerson('login_required', `${name} must be signed in again`);
    case 'client_invalid':
      return needsPerson('client_invalid', `the server no longer knows the client of ${name}`);
    case 'config_error':
      return needsPerson('config_error', `${name} cannot be refreshed`);
    case 'disabled':
      return needsPerson('config_error', `${name} is disabled`);
    case 'ok':
    case 'degraded':
    case 'uncertain': {
      const askableFrom = askableAt(connection, now);
      const seconds =
        askableFrom === null ? DEFAULT_RETRY_SECONDS : Math.max(1, Math.ceil((askableFrom - now) / 1000));
      return new BrokerError('upstream_unavailable', `no valid token for ${name} at the moment${because}`, {
        hint: `broker show ${name}`,
        connection: name,
        retryAfterSeconds: seconds,
      });
    }
  }
}

/** The connection was logged out while somebody worked on it. */
export function gone(connection: Connection): BrokerError {
  return new BrokerError('not_found', `${connection.name} was removed meanwhile`, {
    hint: 'broker list',
    connection: connection.name,
  });
}
