/** Who the broker is at the server, in every way there is, with the real program and a real authorization server. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectionView } from '../../src/broker/connections.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { AuthorizationServerOptions } from '../support/authorization-server.ts';
import { freePort } from '../support/free-port.ts';
import { type HostedDocument, hostDocument } from '../support/hosted-document.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { rowsOf } from '../support/vault-file.ts';

let journey: Journey;
let hosted: HostedDocument | undefined;

async function start(options: AuthorizationServerOptions = {}): Promise<void> {
  journey = await startJourney({ authorizationServer: { alwaysIssueRefreshToken: true, ...options } });
}

afterEach(async () => {
  await journey.close();
  await hosted?.close();
  hosted = undefined;
});

const registrations = () =>
  journey.authorizationServer.requests.filter(({ method, path }) => method === 'POST' && path === '/reg');

/** The login ends well, and a refresh proves that the client still authenticates. */
async function expectSignIn(args: string[]): Promise<void> {
  const { code, stderr } = await journey.login({ args });
  expect(code, stderr).toBe(0);
  expect(await journey.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
}

async function show(): Promise<Partial<ConnectionView>> {
  let shown: ConnectionView | undefined;
  await journey.here(async (broker) => {
    shown = await broker.show(OPERATOR, 'demo');
  });
  return { ...shown };
}

/** A client the vendor made for us. */
const entered = (port: number, changes: object) => ({
  client_id: 'fake-client',
  redirect_uris: [`http://127.0.0.1:${port}/callback`],
  application_type: 'native' as const,
  ...changes,
});

async function inFile(name: string, content: string): Promise<string> {
  const path = join(journey.home.path, name);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

describe('a client that was given', () => {
  it.each(['client_secret_post', 'client_secret_basic'] as const)('signs in with %s', async (method) => {
    const port = await freePort();
    const client = entered(port, {
      client_secret: 'fake-client-secret-1',
      token_endpoint_auth_method: method,
    });
    await start({ clients: [client] });
    const file = await inFile('secret.txt', 'fake-client-secret-1\n');
    const args = [
      '--callback-port',
      String(port),
      '--client-id',
      'fake-client',
      '--client-secret-file',
      file,
    ];
    await expectSignIn([...args, '--auth-method', method]);
    expect(registrations()).toEqual([]);
    expect(await show()).toMatchObject({ client_source: 'configured', auth_method: method });
  });

  it.each([
    ['an EC key', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ES256'],
    ['an RSA key', () => generateKeyPairSync('rsa', { modulusLength: 2048 }), 'RS256'],
  ])('signs in with %s of its own', async (_, generate, alg) => {
    const { publicKey, privateKey } = generate() as { publicKey: KeyObject; privateKey: KeyObject };
    const port = await freePort();
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig' }] };
    const changes = {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: alg,
      jwks,
    };
    await start({ clients: [entered(port, changes)] });
    const file = await inFile('key.pem', privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    const args = ['--callback-port', String(port), '--client-id', 'fake-client', '--client-key-file', file];
    await expectSignIn(args);
    expect(await show()).toMatchObject({ auth_method: 'private_key_jwt' });
  });

  it('is refused before anybody is asked when its key cannot sign', async () => {
    await start();
    const file = await inFile('key.pem', 'fake-key');
    const login = ['login', journey.mcp.url, '--name', 'demo', '--client-id', 'fake-client'];
    const result = await journey.run([...login, '--client-key-file', file]);
    expectFailure(result, 2, /the private key of the client cannot be used/);
    expect(result.stderr).not.toContain('fake-key');
  });
});

describe('a client metadata document', () => {
  /** Hosts what `broker client-metadata` prints. */
  async function host(port: number): Promise<string[]> {
    const page = await hostDocument();
    hosted = page;
    await start({ readDocument: page.read });
    const printed = await journey.run([
      ...['client-metadata', '--client-metadata-url', page.url],
      ...['--callback-port', String(port)],
    ]);
    expect(printed, printed.stderr).toMatchObject({ code: 0 });
    page.answer(200, printed.stdout);
    return ['--client-metadata-url', page.url, '--ca-file', page.caFile];
  }

  it('takes the place of a registration', async () => {
    const port = await freePort();
    const args = await host(port);
    const { code, stderr } = await journey.login({ args });
    expect(code, stderr).toBe(0);
    expect(registrations()).toEqual([]);
    expect(await show()).toMatchObject({
      client_id: hosted?.url,
      client_source: 'metadata_document',
      redirect_uri: `http://127.0.0.1:${port}/callback`,
    });
    expect(await journey.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(0);
  });

  it('that is not what it should be is refused, saying what to host', async () => {
    const args = await host(await freePort());
    hosted?.answer(200, { client_id: 'https://example.com/another.json', redirect_uris: [] });
    const result = await journey.run(['login', journey.mcp.url, '--name', 'demo', ...args]);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/its client_id is "https:\/\/example\.com\/another\.json"/);
    expect(result.stderr).toContain('broker client-metadata --client-metadata-url');
  });

  it('is left aside where the server takes none', async () => {
    await start();
    await expectSignIn(['--client-metadata-url', 'https://example.com/broker.json']);
    expect(registrations()).toHaveLength(1);
  });
});

describe('a registration', () => {
  it('that the server has forgotten is made anew at the next login', async () => {
    await start();
    await expectSignIn([]);
    const [before] = rowsOf<{ registration_client_uri: string; client_id: string }>(
      journey.vaultPath,
      'SELECT registration_client_uri, client_id FROM clients',
    );
    const answer = registrations()[0]?.answer as Record<string, string> | undefined;
    const authorization = `Bearer ${answer?.registration_access_token}`;
    const deleted = await fetch(before?.registration_client_uri as string, {
      method: 'DELETE',
      headers: { authorization },
    });
    expect(deleted.status).toBe(204);
    await expectSignIn([]);
    expect(registrations()).toHaveLength(2);
    expect((await show()).client_id).not.toBe(before?.client_id);
  });

  it('is passed over with --reregister', async () => {
    await start();
    await expectSignIn([]);
    await expectSignIn(['--reregister']);
    expect(registrations()).toHaveLength(2);
  });
});

describe('a server that wants the request beforehand (RFC 9126)', () => {
  it('gets it, and shows nothing of it in the link', async () => {
    await start({ pushedOnly: true });
    const { process, authorizationUrl } = await journey.beginLogin();
    expect([...new URL(authorizationUrl).searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    process.write(await journey.authorizationServer.approve(authorizationUrl));
    expect(await process.exited, process.stderr()).toBe(0);
  });
});

it('leaves no secret of a client in the vault in clear', async () => {
  const port = await freePort();
  const client = entered(port, { client_secret: 'fake-client-secret-1' });
  await start({ clients: [client] });
  const file = await inFile('secret.txt', 'fake-client-secret-1');
  const args = ['--callback-port', String(port), '--client-id', 'fake-client', '--client-secret-file', file];
  await expectSignIn(args);
  expect(await readFile(journey.vaultPath, 'latin1')).not.toContain('fake-client-secret-1');
});
