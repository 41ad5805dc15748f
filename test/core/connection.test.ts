import { describe, expect, it } from 'vitest';
import { type ConnectionState, fixingCommand } from '../../src/core/connection.ts';

const STATES: [ConnectionState, string | null][] = [
  ['ok', null],
  ['degraded', 'broker refresh coda@alice'],
  ['uncertain', 'broker refresh coda@alice'],
  ['login_required', 'broker login coda@alice'],
  ['client_invalid', 'broker login coda@alice'],
  ['config_error', 'broker login coda@alice'],
  ['disabled', 'broker login coda@alice'],
];

describe('a connection state', () => {
  it.each(STATES)('%s is mended by: %s', (state, command) => {
    expect(fixingCommand({ state, name: 'coda@alice', isMinted: false, kind: 'oauth' })).toBe(command);
  });

  it('of a machine is mended by asking again, once its credentials are right', () => {
    expect(
      fixingCommand({ state: 'config_error', name: 'reports', isMinted: true, kind: 'client_credentials' }),
    ).toBe('broker refresh reports');
    expect(
      fixingCommand({ state: 'ok', name: 'reports', isMinted: true, kind: 'client_credentials' }),
    ).toBeNull();
  });
});
