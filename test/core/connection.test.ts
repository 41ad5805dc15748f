import { describe, expect, it } from 'vitest';
import { type ConnectionState, enteringCommand, fixingCommand } from '../../src/core/connection.ts';

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

describe('the command that connects once more', () => {
  it.each<[Parameters<typeof enteringCommand>[0], string]>([
    [{ name: 'coda@alice', kind: 'oauth' }, 'broker login coda@alice'],
    [{ name: 'reports', kind: 'client_credentials' }, 'broker add reports …'],
    [{ name: 'coda', kind: 'bearer' }, 'broker add coda --bearer-file <file>'],
    [{ name: 'wiki', kind: 'headers' }, 'broker add wiki --header <name> --value-file <file>'],
    [{ name: 'open', kind: 'none' }, 'broker add open --none'],
    [{ name: 'internal@alice', kind: 'identity' }, 'broker add internal …'],
    [{ name: 'internal@alice', kind: 'identity', derivedFrom: 'corp@alice' }, 'broker login corp@alice'],
  ])('of %j is %s', (connection, command) => {
    expect(enteringCommand(connection)).toBe(command);
  });
});
