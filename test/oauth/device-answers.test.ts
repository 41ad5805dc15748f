import { afterEach, describe, expect, it } from 'vitest';
import { beginDevice, type DeviceAuthorization, pollDevice } from '../../src/oauth/device.ts';
import type { Fetch } from '../../src/oauth/http.ts';
import type { ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';
import { fakeMetadata, fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const RESOURCE = 'https://mcp.example.com';
const CLIENT = { clientId: 'fake-client', authMethod: 'none', clientSecret: undefined };

let metadata: ServerMetadata;

const begin = () =>
  beginDevice({
    ...{ metadata, client: CLIENT, resource: RESOURCE, scope: undefined },
    ...{ fetch, now: () => NOW },
  });

const poll = (through: Fetch = fetch) =>
  pollDevice({
    ...{ metadata, client: CLIENT, resource: RESOURCE, fetch: through, now: () => NOW },
    authorization: { deviceCode: new Secret('fake-device-code') },
  });

const GRANTED = {
  device_code: 'fake-device-code',
  user_code: 'WDJB-MJHT',
  verification_uri: 'https://as.example.com/device',
};

let raw: RawServer | undefined;

async function startRaw(answer: RawAnswer) {
  raw = await startRawServer(() => answer);
  metadata = fakeMetadata(raw.url, { device_authorization_endpoint: `${raw.url}/device` });
}

const beginWith = async (answer: RawAnswer) => {
  await startRaw(answer);
  return begin();
};

describe('the answer with the codes (RFC 8628 §3.2)', () => {
  afterEach(() => raw?.close());

  it.each<[string, object, Partial<DeviceAuthorization>]>([
    ['nothing but what must be there', {}, { verificationUriComplete: undefined, intervalMs: 5_000 }],
    ['no lifetime', {}, { expiresAt: NOW + 900_000 }],
    ['a lifetime that is rubbish', { expires_in: 'soon' }, { expiresAt: NOW + 900_000 }],
    ['a lifetime below zero', { expires_in: -1 }, { expiresAt: NOW + 900_000 }],
    ['a lifetime of nothing', { expires_in: 0 }, { expiresAt: NOW + 900_000 }],
    ['a lifetime of years', { expires_in: 1e9 }, { expiresAt: NOW + 86_400_000 }],
    ['numbers as text', { expires_in: '60', interval: '7' }, { expiresAt: NOW + 60_000, intervalMs: 7_000 }],
    ['no pause at all', { interval: 0 }, { intervalMs: 1_000 }],
    ['a pause of an hour', { interval: 3600 }, { intervalMs: 60_000 }],
    ['a pause that is rubbish', { interval: 'often' }, { intervalMs: 5_000 }],
    [
      'an address in the spelling of Google',
      { verification_uri: undefined, verification_url: 'https://as.example.com/g' },
      { verificationUri: 'https://as.example.com/g' },
    ],
    [
      'letters that look like others',
      { verification_uri: 'https://аs.example.com/device' },
      { verificationUri: 'https://xn--s-7sb.example.com/device' },
    ],
    [
      'a complete address that is not safe',
      { verification_uri_complete: 'http://as.example.com/device?user_code=WDJB-MJHT' },
      { verificationUriComplete: undefined },
    ],
  ])('is read with %s', async (_, changes, expected) => {
    expect(await beginWith({ status: 200, body: { ...GRANTED, ...changes } })).toMatchObject(expected);
  });

  it.each<[string, object]>([
    ['without device code', { device_code: undefined }],
    ['with an empty device code', { device_code: '' }],
    ['without user code', { user_code: undefined }],
    ['with a user code that moves the cursor', { user_code: 'WDJB\u001b[2J' }],
    ['with a user code that turns the line around', { user_code: 'WDJB\u202eMJHT' }],
    ['with a user code nobody types', { user_code: 'X'.repeat(65) }],
    ['without address', { verification_uri: undefined }],
    ['with an address in plain http', { verification_uri: 'http://as.example.com/device' }],
    ['with an address that is a script', { verification_uri: 'javascript:alert(1)' }],
    ['with an address that holds a line break', { verification_uri: 'https://as.example.com/\nx' }],
    ['with an address that holds a password', { verification_uri: 'https://a:b@as.example.com/' }],
    ['with an address without end', { verification_uri: `https://as.example.com/${'x'.repeat(2000)}` }],
  ])('is refused %s', async (_, changes) => {
    await expect(beginWith({ status: 200, body: { ...GRANTED, ...changes } })).rejects.toMatchObject({
      code: 'login_refused',
      hint: expect.stringContaining('--paste'),
    });
  });

  it('does not show the device code when it is printed', async () => {
    const authorization = await beginWith({ status: 200, body: GRANTED });
    expect(authorization.deviceCode.reveal()).toBe('fake-device-code');
    expect(JSON.stringify(authorization)).not.toContain('fake-device-code');
  });

  it.each<[string, RawAnswer, string, string]>([
    ['a refusal', { status: 400, body: { error: 'invalid_scope' } }, 'login_refused', 'invalid_scope'],
    ['a refusal inside a 200', { status: 200, body: { error: 'nope' } }, 'login_refused', 'nope'],
    ['a refusal in other words', { status: 403, body: { message: 'no' } }, 'login_refused', '403 "no"'],
    ['a page', { status: 200, body: '<h1>Welcome</h1>' }, 'login_refused', 'Welcome'],
    ['a redirect', { status: 302, headers: { location: '/login' } }, 'login_refused', '302'],
    ['429', { status: 429, headers: { 'retry-after': '30' } }, 'upstream_unavailable', '429'],
    ['503', { status: 503 }, 'upstream_unavailable', '503'],
    ['a reset', 'reset', 'upstream_unavailable', 'cannot be reached'],
  ])('may be %s', async (_, answer, code, message) => {
    await expect(beginWith(answer)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it('names what the client must be registered for', async () => {
    const refused = beginWith({ status: 400, body: { error: 'unauthorized_client' } });
    await expect(refused).rejects.toMatchObject({
      code: 'login_refused',
      hint: expect.stringMatching(/urn:ietf:params:oauth:grant-type:device_code\n.*--paste/),
    });
  });

  it('tells how long to stay away', async () => {
    const refused = beginWith({ status: 429, headers: { 'retry-after': '30' } });
    await expect(refused).rejects.toMatchObject({ retryAfterSeconds: 30 });
  });

  it('is not asked for where the endpoint is not safe', async () => {
    await startRaw({ status: 200, body: GRANTED });
    metadata = { ...metadata, device_authorization_endpoint: 'http://as.example.com/device' };
    await expect(begin()).rejects.toMatchObject({ code: 'discovery_failed' });
  });
});

describe('a poll (RFC 8628 §3.5)', () => {
  afterEach(() => raw?.close());

  const pollWith = async (answer: RawAnswer) => {
    await startRaw(answer);
    return poll();
  };

  it('is one form with the grant, the code, the client and the resource', async () => {
    await pollWith({ status: 400, body: { error: 'authorization_pending' } });
    expect(Object.fromEntries(new URLSearchParams(raw?.requests[0]?.body))).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: 'fake-device-code',
      client_id: 'fake-client',
      resource: RESOURCE,
    });
    expect(raw?.requests).toHaveLength(1);
  });

  const TOKENS = { access_token: 'fake-access', refresh_token: 'fake-refresh' };

  it.each<[string, RawAnswer, string]>([
    ['authorization_pending', { status: 400, body: { error: 'authorization_pending' } }, 'pending'],
    ['the same inside a 200', { status: 200, body: { error: 'authorization_pending' } }, 'pending'],
    ['slow_down inside a 200', { status: 200, body: { error: 'slow_down' } }, 'slow_down'],
    ['server_error', { status: 400, body: { error: 'server_error' } }, 'pending'],
    ['408', { status: 408 }, 'pending'],
    ['500', { status: 500, body: { error: 'unheard_of' } }, 'pending'],
    ['502 with a page', { status: 502, body: '<h1>Bad Gateway</h1>' }, 'pending'],
    ['429', { status: 429 }, 'slow_down'],
    ['tokens beside an error', { status: 200, body: { ...TOKENS, error: 'slow_down' } }, 'answer'],
    ['tokens with an odd status', { status: 503, body: TOKENS }, 'answer'],
    ['tokens without a type', { status: 200, body: TOKENS }, 'answer'],
    ['invalid_client', { status: 401, body: { error: 'invalid_client' } }, 'answer'],
    ['a page of a firewall', { status: 403, body: '<h1>Blocked</h1>' }, 'answer'],
  ])('that is answered with %s', async (_, answer, kind) => {
    expect((await pollWith(answer)).kind).toBe(kind);
  });

  it('that finds nobody there is asked again', async () => {
    await startRaw('hang');
    await raw?.close();
    expect(await poll()).toEqual({ kind: 'pending' });
  });

  it.each([
    ['our deadline', new DOMException('the deadline has passed', 'TimeoutError')],
    ['a host that does not answer', Object.assign(new Error('x'), { code: 'UND_ERR_CONNECT_TIMEOUT' })],
    ['a connection that died', Object.assign(new Error('x'), { code: 'ETIMEDOUT' })],
  ])('that ran into %s slows down', async (_, error) => {
    expect(await poll(() => Promise.reject(error))).toEqual({ kind: 'slow_down' });
  });
});
