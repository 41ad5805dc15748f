import { describe, expect, it } from 'vitest';
import {
  DEFAULT_SETTINGS,
  type ServerSettings,
  type SettingsWishes,
  unusualSettings,
  wishedSettings,
} from '../../src/core/server-settings.ts';

/** Every setting as it is nowhere by default. */
const UNUSUAL: ServerSettings = {
  recovery: 'needs-login',
  deadTokenErrors: ['bad_refresh_token'],
  pinnedIssuer: 'https://as.example.com/',
  pinnedResource: 'https://mcp.example.com',
  resourceParameter: 'omit',
  refreshScope: 'send',
  basicEncoding: 'raw',
  pkce: 'assumed',
  scopes: ['mcp:all'],
  authorizationParameters: { access_type: 'offline' },
  network: 'private',
  idleLimitMs: 2_592_000_000,
  endedLoginTexts: ['HTTP 401'],
  grant: { kind: 'client_credentials' },
  transport: 'stdio',
  program: { command: '/bin/true', args: [], cwd: '/', env: {}, processes: 'shared', idleEndMs: 1000 },
};

describe('the settings among the wishes of a login', () => {
  it('are those that were said', () => {
    expect(wishedSettings(UNUSUAL)).toEqual(UNUSUAL);
    expect(wishedSettings({})).toEqual({});
  });

  it('leave out those left open, so that they stay as they were', () => {
    const wished = wishedSettings({ pinnedIssuer: undefined, scopes: ['mcp:all'] });
    expect(Object.keys(wished)).toEqual(['scopes']);
  });

  it('hold a return to the default', () => {
    const back = {
      pinnedIssuer: null,
      scopes: [],
      resourceParameter: 'send',
      authorizationParameters: {},
    } as const;
    expect(wishedSettings(back)).toEqual(back);
  });

  it('are nothing else of the request', () => {
    const request = { target: 'coda', clientSecret: 'fake-secret', pkce: 'assumed' } as SettingsWishes;
    expect(wishedSettings(request)).toEqual({ pkce: 'assumed' });
  });
});

describe('the settings that are kept', () => {
  it('are those that differ from the default', () => {
    expect(unusualSettings(DEFAULT_SETTINGS)).toEqual({});
    expect(unusualSettings({ ...DEFAULT_SETTINGS, scopes: ['mcp:all'], network: 'private' })).toEqual({
      scopes: ['mcp:all'],
      network: 'private',
    });
    expect(unusualSettings(UNUSUAL)).toEqual(UNUSUAL);
  });

  it('give the same settings again', () => {
    for (const settings of [UNUSUAL, DEFAULT_SETTINGS, { ...DEFAULT_SETTINGS, pkce: 'assumed' } as const]) {
      const text = JSON.stringify(unusualSettings(settings));
      expect({ ...DEFAULT_SETTINGS, ...JSON.parse(text) }).toEqual(settings);
    }
  });
});

describe('the default', () => {
  it('is what the standards ask for, and the safer of two ways', () => {
    expect(DEFAULT_SETTINGS).toMatchObject({
      resourceParameter: 'send',
      refreshScope: 'omit',
      basicEncoding: 'form',
      pkce: 'announced',
      network: 'public',
      pinnedIssuer: null,
      pinnedResource: null,
    });
  });
});
