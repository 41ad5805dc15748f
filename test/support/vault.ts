import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { MasterKeySources } from '../../src/config.ts';
import type { TokenSet } from '../../src/core/token-set.ts';
import { Secret } from '../../src/secret.ts';
import { type Client, insertClient } from '../../src/vault/clients.ts';
import {
  findConnection,
  insertConnection,
  type StoredConnection,
  sealTokenSet,
} from '../../src/vault/connections.ts';
import { openVault, type Vault } from '../../src/vault/index.ts';
import type { LoginPurpose } from '../../src/vault/logins.ts';
import { saveServer } from '../../src/vault/servers.ts';
import { createHome, type Home } from './home.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

/** A real vault in a directory of its own. */
export interface TestVault {
  vault: Vault;
  clock: ManualClock;
  home: Home;
  /** The SQLite file. */
  path: string;
  masterKey: MasterKeySources;
  /** Opens the same file again, as another process would. Closed by `close` too. */
  openAgain(): Promise<Vault>;
  /** Closes everything and deletes the directory. */
  close(): Promise<void>;
}

/** Creates a new vault with a key file beside it, and a clock that stands still. */
export async function openTestVault(): Promise<TestVault> {
  const home = await createHome();
  const clock = createManualClock();
  const path = join(home.path, 'vault', 'broker.db');
  const masterKey = { defaultFile: join(home.path, 'config', 'master.key') };
  const open = () => openVault({ path, masterKey, clock, create: true });
  const opened = [await open()];
  return {
    vault: opened[0] as Vault,
    clock,
    home,
    path,
    masterKey,
    async openAgain() {
      const vault = await open();
      opened.push(vault);
      return vault;
    },
    async close() {
      await Promise.all(opened.map((vault) => vault.close()));
      await home.remove();
    },
  };
}

/** A token set whose secrets are `access-LABEL` and `refresh-LABEL`, an hour of life before it. */
export function fakeTokens(label: string, receivedAt: number, changes: Partial<TokenSet> = {}): TokenSet {
  return {
    accessToken: new Secret(`access-${label}`),
    refreshToken: new Secret(`refresh-${label}`),
    tokenType: 'Bearer',
    scope: 'mcp:all',
    receivedAt,
    accessExpiresAt: receivedAt + 3_600_000,
    accountIdentity: 'alice@example.com',
    ...changes,
  };
}

/** A registered public client of `https://as.example.com`, changed as the test wants. */
/** What a login in flight is for. */
export function fakePurpose(connection: string): LoginPurpose {
  const url = `https://mcp.example.com/${connection}`;
  const settings = { network: 'public' } as const;
  return {
    ...{ connection, server: connection, account: null, url, resource: url },
    ...{ scope: 'mcp:all', expectedAccount: null, settings },
  };
}

export function fakeClient(changes: Partial<Client> = {}): Client {
  return {
    rowId: randomUUID(),
    generation: 1,
    issuer: 'https://as.example.com',
    redirectUri: 'http://127.0.0.1:29999/callback',
    isWeb: false,
    source: 'registered',
    clientId: 'fake-client',
    authMethod: 'none',
    clientSecret: undefined,
    clientKey: undefined,
    clientSecretExpiresAt: null,
    registrationClientUri: undefined,
    registrationAccessToken: undefined,
    serverMetadata: { issuer: 'https://as.example.com' },
    createdAt: 0,
    ...changes,
  };
}

/** Stores a connection of generation 1 with its server and client, its secrets made of `label` (default its name). */
export async function storeConnection(
  { vault, clock }: Pick<TestVault, 'vault' | 'clock'>,
  name = 'coda',
  label = name,
): Promise<StoredConnection> {
  const id = randomUUID();
  const client = fakeClient();
  const server = name.split('@')[0] as string;
  const now = clock.now();
  const url = `https://mcp.example.com/${server}`;
  const insertIt = await insertClient(vault.sealer, client);
  const tokens = await sealTokenSet(vault.sealer, id, 1, fakeTokens(label, now));
  const stored = await vault.transaction(function* () {
    yield* saveServer({ name: server, url, kind: 'oauth', resource: url, createdAt: now });
    yield* insertIt();
    yield* insertConnection(
      {
        id,
        name,
        server,
        account: name.split('@')[1] ?? null,
        clientRowId: client.rowId,
        createdAt: now,
      },
      tokens,
    );
    return yield* findConnection(name);
  });
  if (!stored) throw new Error(`${name} was not stored`);
  return stored;
}
