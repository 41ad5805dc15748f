import { afterEach, describe, expect, it } from 'vitest';
import { DEVICE_GRANT } from '../../src/oauth/device.ts';
import type { RegistrationWishes } from '../../src/oauth/registration.ts';
import type { ServerMetadata } from '../../src/oauth/server-discovery.ts';
import { fakeMetadata, register } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const MADE: RawAnswer = { status: 201, body: { client_id: 'fake-client' } };
const DISLIKED: RawAnswer = { status: 400, body: { error: 'invalid_client_metadata' } };
const DEVICE = { device_authorization_endpoint: 'https://as.example.com/device' };

let raw: RawServer | undefined;

afterEach(() => raw?.close());

/** A server that gives these answers one after the other, and then registers everybody. */
async function answering(...answers: RawAnswer[]): Promise<ServerMetadata> {
  raw = await startRawServer(() => answers.shift() ?? MADE);
  return fakeMetadata(raw.url);
}

const sent = () => raw?.requests.map(({ body }) => JSON.parse(body));

describe('what a client asks to be', () => {
  const asking = async (wishes: Partial<RegistrationWishes>, changes: Partial<ServerMetadata> = {}) => {
    const metadata = await answering();
    await register({ ...metadata, ...changes }, wishes);
    return sent()?.[0];
  };

  it.each([
    ['http://127.0.0.1:29999/callback', 'native'],
    ['http://localhost:29999/callback', 'native'],
    ['https://broker.example.com/callback', 'web'],
  ])('with the redirect URI %s is a %s application', async (redirectUri, application_type) => {
    const asked = { redirect_uris: [redirectUri], application_type };
    expect(await asking({ redirectUri })).toMatchObject(asked);
  });

  it('authenticates as wished, else by the best that is offered', async () => {
    const offered = { token_endpoint_auth_methods_supported: ['client_secret_post'] };
    const wish = { authMethod: 'client_secret_basic' } as const;
    const secret = { token_endpoint_auth_method: 'client_secret_basic' };
    expect(await asking(wish, offered)).toMatchObject(secret);
    await raw?.close();
    expect(await asking({}, offered)).toMatchObject({ token_endpoint_auth_method: 'client_secret_post' });
  });

  it('has a name of its own each time when it must differ from earlier ones', async () => {
    const metadata = await answering();
    await register(metadata);
    await register(metadata, { isAnother: true });
    await register(metadata, { isAnother: true });
    const [usual, one, other] = sent()?.map(({ client_name }) => client_name) ?? [];
    expect(usual).toBe('mcp-token-broker');
    expect(one).toMatch(/^mcp-token-broker [0-9a-f]{8}$/);
    expect(other).toMatch(/^mcp-token-broker [0-9a-f]{8}$/);
    expect(one).not.toBe(other);
  });

  it('may sign in by device where the server offers that', async () => {
    const grant_types = ['authorization_code', 'refresh_token', DEVICE_GRANT];
    expect(await asking({}, DEVICE)).toMatchObject({ grant_types });
  });

  it('gives up one grant after the other when the server dislikes the metadata', async () => {
    const metadata = await answering(DISLIKED, DISLIKED);
    await register({ ...metadata, ...DEVICE });
    expect(sent()?.map(({ grant_types }) => grant_types)).toEqual([
      ['authorization_code', 'refresh_token', DEVICE_GRANT],
      ['authorization_code', 'refresh_token'],
      ['authorization_code'],
    ]);
  });
});
