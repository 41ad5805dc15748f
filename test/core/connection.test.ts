import { describe, expect, it } from 'vitest';
import { type ConnectionState, fixingCommand, needsPerson } from '../../src/core/connection.ts';

const STATES: [ConnectionState, string | null, boolean][] = [
  ['ok', null, false],
  ['degraded', 'broker refresh coda@alice', false],
  ['uncertain', 'broker refresh coda@alice', false],
  ['login_required', 'broker login coda@alice', true],
  ['client_invalid', 'broker login coda@alice', true],
  ['config_error', 'broker login coda@alice', true],
  ['disabled', 'broker login coda@alice', true],
];

describe('a connection state', () => {
  it.each(STATES)('%s is mended by: %s', (state, command) => {
    expect(fixingCommand({ state, name: 'coda@alice' })).toBe(command);
  });

  it.each(STATES)('%s (%s) needs a person: %s', (state, _, isNeeded) => {
    expect(needsPerson(state)).toBe(isNeeded);
  });
});
