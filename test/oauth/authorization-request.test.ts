import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/core/server-settings.ts';
import { type AuthorizationParameters, beginAuthorization } from '../../src/oauth/authorization.ts';
import { Secret } from '../../src/secret.ts';
import { fakeMetadata, fetch, REDIRECT_URI } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const ISSUER = 'https://as.example.com';

const REQUEST: AuthorizationParameters = {
  metadata: fakeMetadata(ISSUER),
  client: { clientId: 'fake-client', authMethod: 'none', clientSecret: undefined, redirectUri: REDIRECT_URI },
  settings: DEFAULT_SETTINGS,
  resource: 'https://mcp.example.com',
  scope: 'mcp:all',
  fetch,
};

/** The query of the request, with these changes. */
const query = async (changes: Partial<AuthorizationParameters>) =>
  new URL((await beginAuthorization({ ...REQUEST, ...changes })).url).searchParams;

describe('the authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 8707)', () => {
  it('carries all that the server needs, and no more', async () => {
    const { url, state } = await beginAuthorization(REQUEST);
    const { origin, pathname, searchParams } = new URL(url);
    expect(`${origin}${pathname}`).toBe('https://as.example.com/authorize');
    expect(Object.fromEntries(searchParams)).toEqual({
      client_id: 'fake-client',
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      code_challenge: expect.any(String),
      code_challenge_method: 'S256',
      state: state.reveal(),
      resource: 'https://mcp.example.com',
      scope: 'mcp:all',
    });
  });

  it('proves itself with the S256 of its verifier, which it does not show', async () => {
    const { url, codeVerifier } = await beginAuthorization(REQUEST);
    const digest = createHash('sha256').update(codeVerifier.reveal()).digest('base64url');
    expect(new URL(url).searchParams.get('code_challenge')).toBe(digest);
    expect(url).not.toContain(codeVerifier.reveal());
  });

  it('has another state and verifier each time, long enough not to be guessed', async () => {
    const [one, other] = [await beginAuthorization(REQUEST), await beginAuthorization(REQUEST)];
    expect(one.state.reveal()).not.toBe(other.state.reveal());
    expect(one.codeVerifier.reveal()).not.toBe(other.codeVerifier.reveal());
    expect(one.state.reveal().length).toBeGreaterThanOrEqual(43);
    expect(one.codeVerifier.reveal().length).toBeGreaterThanOrEqual(43);
  });

  it.each(['https://mcp.example.com', 'https://mcp.example.com/', 'https://MCP.example.com:443/a%2Fb?x=ä'])(
    'names the resource to the letter: %s',
    async (resource) => {
      expect((await query({ resource })).get('resource')).toBe(resource);
    },
  );

  it('leaves out the resource where the server refuses the parameter', async () => {
    const settings = { ...DEFAULT_SETTINGS, resourceParameter: 'omit' } as const;
    expect((await query({ settings })).has('resource')).toBe(false);
  });

  it('leaves out the scope when there is none to ask for', async () => {
    expect((await query({ scope: undefined })).has('scope')).toBe(false);
  });

  it('asks for consent with offline_access, because OpenID providers drop it otherwise', async () => {
    expect((await query({ scope: 'mcp:all offline_access' })).get('prompt')).toBe('consent');
    expect((await query({ scope: 'not_offline_access' })).has('prompt')).toBe(false);
  });

  it('keeps the query an endpoint has of its own', async () => {
    const metadata = fakeMetadata(ISSUER, { authorization_endpoint: `${ISSUER}/authorize?tenant=7` });
    expect((await query({ metadata })).get('tenant')).toBe('7');
  });
});

describe('further parameters of an operator', () => {
  const withParameters = (authorizationParameters: Record<string, string>) => ({
    settings: { ...DEFAULT_SETTINGS, authorizationParameters },
  });

  it('go along', async () => {
    const parameters = await query(withParameters({ access_type: 'offline', 'a&b': 'c d' }));
    expect(parameters.get('access_type')).toBe('offline');
    expect(parameters.get('a&b')).toBe('c d');
  });

  it('may choose another prompt', async () => {
    const changes = { scope: 'offline_access', ...withParameters({ prompt: 'select_account consent' }) };
    expect((await query(changes)).getAll('prompt')).toEqual(['select_account consent']);
  });

  it.each([
    ['client_id', 'fake-client'],
    ['redirect_uri', REDIRECT_URI],
    ['response_type', 'code'],
    ['code_challenge_method', 'S256'],
    ['resource', 'https://mcp.example.com'],
    ['scope', 'mcp:all'],
  ])('never take the place of our %s', async (name, ours) => {
    expect((await query(withParameters({ [name]: 'theirs' }))).getAll(name)).toEqual([ours]);
  });

  it('never take the place of our state and challenge, which are fresh', async () => {
    const { url, state } = await beginAuthorization({
      ...REQUEST,
      ...withParameters({ state: 'theirs', code_challenge: 'theirs' }),
    });
    const { searchParams } = new URL(url);
    expect(searchParams.getAll('state')).toEqual([state.reveal()]);
    expect(searchParams.getAll('code_challenge')).toEqual([expect.not.stringContaining('theirs')]);
  });
});

describe('a request that is laid down beforehand (RFC 9126)', () => {
  let raw: RawServer | undefined;

  afterEach(() => raw?.close());

  const PUSHED: RawAnswer = { status: 201, body: { request_uri: 'urn:fake:request', expires_in: 60 } };

  /** Begins at a server that demands it and gives this answer. */
  async function beginAt(answer: RawAnswer, changes: Partial<AuthorizationParameters> = {}) {
    const server = await startRawServer(() => answer);
    raw = server;
    const metadata = fakeMetadata(server.url, {
      require_pushed_authorization_requests: true,
      pushed_authorization_request_endpoint: `${server.url}/par`,
    });
    return beginAuthorization({ ...REQUEST, metadata, ...changes });
  }

  const form = () => Object.fromEntries(new URLSearchParams(raw?.requests[0]?.body));

  it('is told to the server whole, and the person carries only its name', async () => {
    const { url, state, codeVerifier } = await beginAt(PUSHED);
    expect(raw?.requests).toHaveLength(1);
    expect(raw?.requests[0]).toMatchObject({ method: 'POST', path: '/par' });
    expect(form()).toEqual({
      client_id: 'fake-client',
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      code_challenge: createHash('sha256').update(codeVerifier.reveal()).digest('base64url'),
      code_challenge_method: 'S256',
      state: state.reveal(),
      resource: 'https://mcp.example.com',
      scope: 'mcp:all',
    });
    expect(Object.fromEntries(new URL(url).searchParams)).toEqual({
      client_id: 'fake-client',
      request_uri: 'urn:fake:request',
    });
  });

  it('proves the client as at the token endpoint', async () => {
    const client = {
      ...REQUEST.client,
      authMethod: 'client_secret_basic',
      clientSecret: new Secret('fake:secret'),
    };
    await beginAt(PUSHED, { client, settings: { ...DEFAULT_SETTINGS, basicEncoding: 'raw' } });
    expect(raw?.requests[0]?.headers.authorization).toBe(`Basic ${btoa('fake-client:fake:secret')}`);
  });

  it('is made where it is demanded only', async () => {
    const server = await startRawServer(() => PUSHED);
    raw = server;
    const pushed_authorization_request_endpoint = `${server.url}/par`;
    const metadata = fakeMetadata(server.url, { pushed_authorization_request_endpoint });
    expect((await query({ metadata })).get('state')).toEqual(expect.any(String));
    expect(server.requests).toEqual([]);
  });

  it.each<[string, RawAnswer, string]>([
    ['an OAuth error', { status: 400, body: { error: 'invalid_scope' } }, '400 invalid_scope'],
    ['a page', { status: 403, body: '<h1>Forbidden\u001b[2J</h1>' }, '403 "Forbidden [2J"'],
    ['no name', { status: 201, body: { expires_in: 60 } }, '201'],
    ['a name that is none', { status: 201, body: { request_uri: 7 } }, '201'],
  ])('is a refused login after %s, the reason shown', async (_, answer, reason) => {
    await expect(beginAt(answer)).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining(reason),
    });
  });

  it.each<[string, RawAnswer]>([
    ['503', { status: 503 }],
    ['a reset', 'reset'],
  ])('is worth another try after %s', async (_, answer) => {
    await expect(beginAt(answer)).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  it('is refused by a client that cannot authenticate before anything is sent', async () => {
    const client = { ...REQUEST.client, authMethod: 'client_secret_post' };
    await expect(beginAt(PUSHED, { client })).rejects.toMatchObject({ code: 'config_error' });
    expect(raw?.requests).toEqual([]);
  });

  it('is refused where the server demands it and names no place for it', async () => {
    const metadata = fakeMetadata(ISSUER, { require_pushed_authorization_requests: true });
    await expect(query({ metadata })).rejects.toMatchObject({
      code: 'login_refused',
      message: expect.stringContaining('it names no place for that'),
    });
  });
});
