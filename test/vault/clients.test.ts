import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPEN_SERVER } from '../../src/core/gateway-policy.ts';
import { DEFAULT_SETTINGS, type ServerSettings } from '../../src/core/server-settings.ts';
import { Secret } from '../../src/secret.ts';
import {
  type Client,
  deleteUnusedClient,
  findClient,
  findClientsByIssuer,
  insertClient,
  openClient,
} from '../../src/vault/clients.ts';
import { deleteConnection } from '../../src/vault/connections.ts';
import { query } from '../../src/vault/database.ts';
import { insertLogin } from '../../src/vault/logins.ts';
import {
  deleteUnusedServer,
  findServer,
  findServersByUrl,
  type Server,
  saveServer,
} from '../../src/vault/servers.ts';
import { fakeClient, fakePurpose, openTestVault, storeConnection, type TestVault } from '../support/vault.ts';

let test: TestVault;

beforeEach(async () => {
  test = await openTestVault();
});

afterEach(() => test.close());

async function insert(changes: Partial<Client> = {}): Promise<Client> {
  const client = fakeClient(changes);
  await test.vault.transaction(await insertClient(test.vault.sealer, client));
  return client;
}

/** The client as stored, opened again. */
async function read(rowId: string): Promise<Client | undefined> {
  const row = await test.vault.run(() => findClient(rowId));
  return row && openClient(test.vault.sealer, row);
}

const forget = (rowId: string) => test.vault.transaction(() => deleteUnusedClient(rowId));

const confidential = {
  authMethod: 'client_secret_post',
  clientSecret: new Secret('fake-client-secret'),
  clientSecretExpiresAt: 99,
  registrationClientUri: 'https://as.example.com/register/1',
  registrationAccessToken: new Secret('fake-registration-token'),
};

describe('a client', () => {
  it('is the same after being stored, with secrets and without', async () => {
    for (const changes of [{}, confidential]) {
      const client = await insert(changes);
      const found = await read(client.rowId);
      expect(found).toEqual(client);
      expect(found?.clientSecret?.reveal()).toBe(client.clientSecret?.reveal());
      expect(found?.registrationAccessToken?.reveal()).toBe(client.registrationAccessToken?.reveal());
    }
  });

  it('leaves no secret in the file', async () => {
    await insert(confidential);
    const file = readFileSync(`${test.path}-wal`, 'latin1');
    expect(file).toContain('https://as.example.com/register/1');
    expect(file).not.toMatch(/fake-client-secret|fake-registration-token/);
  });

  it('does not open with the secrets of another', async () => {
    const [one, other] = [await insert(confidential), await insert()];
    await test.vault.run(() =>
      query(
        'UPDATE clients SET secrets = (SELECT secrets FROM clients WHERE id = ?) WHERE id = ?',
        one.rowId,
        other.rowId,
      ),
    );
    await expect(read(other.rowId)).rejects.toMatchObject({ code: 'vault_unavailable' });
  });

  it('is found by its exact issuer, the newest first', async () => {
    const old = await insert({ createdAt: 1 });
    const young = await insert({ createdAt: 2 });
    await insert({ issuer: 'https://as.example.com/', createdAt: 3 });
    const rows = await test.vault.run(() => findClientsByIssuer('https://as.example.com'));
    expect(rows.map(({ id }) => id)).toEqual([young.rowId, old.rowId]);
  });
});

describe('forgetting a client', () => {
  it('is done once nobody needs it', async () => {
    const { rowId } = await insert();
    expect(await forget(rowId)).toBe(true);
    expect(await forget(rowId)).toBe(false);
    expect(await read(rowId)).toBeUndefined();
  });

  it('waits for the last connection', async () => {
    const { id, clientRowId } = await storeConnection(test);
    const rowId = clientRowId as string;
    expect(await forget(rowId)).toBe(false);
    await test.vault.transaction(() => deleteConnection(id));
    expect(await forget(rowId)).toBe(true);
  });

  it('waits for a login in flight', async () => {
    const { rowId } = await insert();
    const login = {
      id: 'login-1',
      purpose: fakePurpose('coda'),
      clientRowId: rowId,
      issuer: 'https://as.example.com',
      redirectUri: 'http://127.0.0.1:29999/callback',
      state: new Secret('state-1'),
      codeVerifier: new Secret('fake-verifier'),
      expiresAt: 100,
    };
    await test.vault.transaction(await insertLogin(test.vault.sealer, login, 0));
    expect(await forget(rowId)).toBe(false);
  });
});

describe('a server', () => {
  const server = {
    name: 'coda',
    url: 'https://mcp.example.com/coda',
    kind: 'oauth' as const,
    resource: 'https://mcp.example.com',
    createdAt: 1,
  };
  const save = (changes: Partial<Omit<Server, 'settings'>> & { settings?: Partial<ServerSettings> } = {}) =>
    test.vault.transaction(() => saveServer({ ...server, ...changes }));
  const find = () => test.vault.run(() => findServer('coda'));

  it('is found by name and by URL, its resource to the letter', async () => {
    await save();
    await save({ name: 'second', createdAt: 2 });
    expect(await find()).toEqual({ ...server, policy: OPEN_SERVER, settings: DEFAULT_SETTINGS });
    const names = (await test.vault.run(() => findServersByUrl(server.url))).map(({ name }) => name);
    expect(names).toEqual(['coda', 'second']);
  });

  it('learns a new resource from a new login, never another URL', async () => {
    await save();
    await save({ resource: 'https://mcp.example.com/', url: 'https://evil.example.com', createdAt: 9 });
    expect(await find()).toEqual({
      ...server,
      policy: OPEN_SERVER,
      resource: 'https://mcp.example.com/',
      settings: DEFAULT_SETTINGS,
    });
  });

  it('keeps each setting until a login names another', async () => {
    await save({ settings: { recovery: 'needs-login' } });
    await save({ settings: { deadTokenErrors: ['bad_refresh_token'] } });
    await save();
    const both = { recovery: 'needs-login', deadTokenErrors: ['bad_refresh_token'] };
    expect(await find()).toMatchObject({ settings: both });
    await save({ settings: { recovery: 'retry' } });
    expect(await find()).toMatchObject({ settings: { ...both, recovery: 'retry' } });
  });

  it('is forgotten once no connection uses it', async () => {
    const { id } = await storeConnection(test, 'coda');
    const forgetServer = () => test.vault.transaction(() => deleteUnusedServer('coda'));
    await forgetServer();
    expect(await find()).toBeDefined();
    await test.vault.transaction(() => deleteConnection(id));
    await forgetServer();
    expect(await find()).toBeUndefined();
  });
});
