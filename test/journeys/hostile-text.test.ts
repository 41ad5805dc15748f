import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';
import { type RawRequest, type RawServer, startRawServer } from '../support/raw-server.ts';

/** Clears the screen, forges a line of ours, turns the rest red, and writes from right to left. */
const EVIL = '\u001b[2J\u001b]0;owned\u0007\n✔ all is well\r\u001b[31m\u202e\u009b31m';
const LONG = 'x'.repeat(20_000);
/** Scopes of honest servers can be long; more than this is no scope. */
const ENOUGH = 10_000;

let home: Home;
let server: RawServer;
let origin: string;

/** A server in all roles that puts the same text wherever it may put text. */
function answer({ path, headers }: RawRequest) {
  origin = `http://${headers.host}`;
  if (path.startsWith('/.well-known/oauth-protected-resource')) {
    return ok({ resource: `${origin}/mcp`, authorization_servers: [origin], scopes_supported: ['mcp:all'] });
  }
  if (path.startsWith('/.well-known/')) {
    return ok({
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none'],
    });
  }
  if (path === '/register') return ok({ client_id: `client${EVIL}` });
  if (path === '/token') {
    const claims = Buffer.from(JSON.stringify({ email: `alice${EVIL}${LONG}` })).toString('base64url');
    return ok({
      access_token: 'fake-access-token',
      refresh_token: 'fake-refresh-token',
      token_type: 'Bearer',
      expires_in: 3600,
      scope: `mcp:all${EVIL}${LONG}`,
      id_token: `e30.${claims}.c2ln`,
    });
  }
  return { status: 401, headers: { 'www-authenticate': 'Bearer' } };
}

const ok = (body: object) => ({ status: 200, body });

beforeEach(async () => {
  home = await createHome();
  server = await startRawServer(answer);
});

afterEach(async () => {
  await server.close();
  await home.remove();
});

/** Nothing a terminal would obey, nothing that begins a line of its own, and nothing endless. */
function expectTame(text: string): void {
  const obeyed = text.replaceAll('\n', '').match(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu);
  expect(obeyed ?? []).toEqual([]);
  expect(text.split('\n')).not.toContain('✔ all is well');
  expect(text.length).toBeLessThan(ENOUGH);
}

async function run(...args: string[]): Promise<string> {
  const child = startBroker(args, { env: home.env });
  await child.exited;
  return child.stdout() + child.stderr();
}

describe('text of a server that means no good', () => {
  beforeEach(async () => {
    const login = startBroker(['login', `${server.url}/mcp`, '--name', 'demo', '--no-browser'], {
      env: home.env,
    });
    const [link = ''] = await login.waitFor(/http\S+\/authorize\?\S+/, 'stderr');
    const asked = new URL(link).searchParams;
    const parameters = new URLSearchParams({ code: 'fake-code', state: asked.get('state') ?? '' });
    login.write(`${asked.get('redirect_uri')}?${parameters}`);
    expect(await login.exited, login.stderr()).toBe(0);
    // The link itself holds the client id, encoded.
    expectTame(login.stderr().replaceAll(link, ''));
  });

  it.each([[['list']], [['show', 'demo']], [['check']], [['refresh', 'demo']], [['logout', 'demo']]])(
    'is tame where a person reads it: broker %j',
    async (args) => {
      expectTame(await run(...args));
    },
  );

  it('is tame in the words of the daemon', async () => {
    const daemon = startBroker(['serve', '--listen', '127.0.0.1:0'], { env: home.env });
    await daemon.waitFor(/demo: ok/, 'stderr');
    await daemon.stop();
    expectTame(daemon.stderr());
  });
});
