import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { judgeRefresh } from '../../src/core/verdict.ts';
import {
  exchangeForGrant,
  type MachineRequest,
  requestByAssertion,
  requestByCredentials,
} from '../../src/oauth/machine-grants.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';
import { fakeMetadata, fetch } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const RESOURCE = 'https://MCP.example.com';

let raw: RawServer;
let answer: RawAnswer;

beforeEach(async () => {
  answer = { status: 200, body: { access_token: 'fake-access', token_type: 'Bearer' } };
  raw = await startRawServer(() => answer);
});

afterEach(() => raw.close());

const request = (changes: Partial<MachineRequest> = {}): MachineRequest => ({
  metadata: fakeMetadata(raw.url),
  client: { clientId: 'a client', authMethod: 'client_secret_post', clientSecret: new Secret('fake:secret') },
  basicEncoding: 'form',
  resource: RESOURCE,
  scope: undefined,
  fetch,
  now: () => NOW,
  ...changes,
});

const forms = () => raw.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
const basic = () => {
  const [, encoded = ''] = /^Basic (.+)$/.exec(raw.requests[0]?.headers.authorization ?? '') ?? [];
  return Buffer.from(encoded, 'base64').toString();
};
const nobody = { clientId: '', authMethod: 'none', clientSecret: undefined };

describe('client credentials (RFC 6749 §4.4.2)', () => {
  it('are one form with the exact resource', async () => {
    expect(await requestByCredentials(request())).toMatchObject({
      ...{ kind: 'answer', status: 200, body: { access_token: 'fake-access' } },
    });
    expect(forms()).toEqual([
      {
        grant_type: 'client_credentials',
        client_id: 'a client',
        client_secret: 'fake:secret',
        resource: RESOURCE,
      },
    ]);
    expect(raw.requests[0]).toMatchObject({ method: 'POST', path: '/token' });
  });

  it('name the scope where there is one, and leave out the resource where there is none', async () => {
    await requestByCredentials(request({ scope: 'mcp:read mcp:write', resource: undefined }));
    expect(forms()[0]).toMatchObject({ scope: 'mcp:read mcp:write' });
    expect(forms()[0]).not.toHaveProperty('resource');
  });

  it.each([
    ['form', 'a+client:fake%3Asecret'],
    ['raw', 'a client:fake:secret'],
  ] as const)('in HTTP Basic are there alone, encoded as %s', async (basicEncoding, expected) => {
    const client = { ...request().client, authMethod: 'client_secret_basic' };
    await requestByCredentials(request({ client, basicEncoding }));
    expect(basic()).toBe(expected);
    expect(forms()).toEqual([{ grant_type: 'client_credentials', resource: RESOURCE }]);
  });

  it.each<[string, RawAnswer, string]>([
    ['a reset', 'reset', 'unknown'],
    ['a page of a firewall', { status: 403, body: '<h1>Blocked</h1>' }, 'unknown'],
    ['a redirect', { status: 307, headers: { location: '/elsewhere' } }, 'unknown'],
    ['429', { status: 429, headers: { 'retry-after': '60' } }, 'not_processed'],
    ['an unknown client', { status: 401, body: { error: 'invalid_client' } }, 'client_invalid'],
  ])('do not throw for %s, and are sent once', async (_, given, verdict) => {
    answer = given;
    expect(judgeRefresh(await requestByCredentials(request())).verdict).toBe(verdict);
    expect(forms()).toHaveLength(1);
  });
});

describe('an assertion (RFC 7523 §2.1)', () => {
  const assertion = new Secret('fake.signed.assertion');
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: 'fake.signed.assertion',
  };

  it('may be all that says who we are', async () => {
    await requestByAssertion(request({ client: nobody }), assertion);
    expect(forms()).toEqual([{ ...form, resource: RESOURCE }]);
    expect(raw.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it('stands beside the client where there is one, public or not', async () => {
    await requestByAssertion(request({ client: { ...nobody, clientId: 'known' } }), assertion);
    await requestByAssertion(request(), assertion);
    expect(forms()).toEqual([
      { ...form, resource: RESOURCE, client_id: 'known' },
      { ...form, resource: RESOURCE, client_id: 'a client', client_secret: 'fake:secret' },
    ]);
  });

  it('that is refused is shown once', async () => {
    answer = { status: 400, body: { error: 'invalid_grant' } };
    const judged = judgeRefresh(await requestByAssertion(request({ client: nobody }), assertion));
    expect(judged).toEqual({ verdict: 'final', code: 'invalid_grant' });
    expect(forms()).toHaveLength(1);
  });

  it('is in no URL', async () => {
    await requestByAssertion(request({ client: nobody }), assertion);
    expect(raw.requests.map(({ path }) => path)).toEqual(['/token']);
  });
});

describe('an exchange for a grant (RFC 8693 §2.1)', () => {
  it('names the other server as audience, and the resource there', async () => {
    const client = { ...nobody, clientId: 'at-the-provider' };
    await exchangeForGrant(request({ client }), new Secret('fake.id.token'), 'https://as.example.com');
    expect(forms()).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        requested_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
        audience: 'https://as.example.com',
        resource: RESOURCE,
        subject_token: 'fake.id.token',
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        client_id: 'at-the-provider',
      },
    ]);
  });
});
