import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { deleteUnusedClient, insertClient } from '../../src/vault/clients.ts';
import { query } from '../../src/vault/database.ts';
import {
  consumeLogin,
  deleteLogin,
  insertLogin,
  OUTCOME_KEPT_MS,
  type PendingLogin,
} from '../../src/vault/logins.ts';
import { endLogin, findWebLogin } from '../../src/vault/web-logins.ts';
import { fakeClient, fakePurpose, openTestVault, type TestVault } from '../support/vault.ts';

let test: TestVault;
let login: PendingLogin;

beforeEach(async () => {
  test = await openTestVault();
  const client = fakeClient();
  const insertIt = await insertClient(test.vault.sealer, client);
  await test.vault.transaction(insertIt);
  login = pending(client.rowId, 'state-1', 100);
  await insert(login, 0);
});

afterEach(() => test.close());

function pending(clientRowId: string, state: string, expiresAt: number): PendingLogin {
  return {
    id: randomUUID(),
    purpose: fakePurpose('coda'),
    clientRowId,
    issuer: 'https://as.example.com',
    redirectUri: 'http://127.0.0.1:29999/callback',
    state: new Secret(state),
    codeVerifier: new Secret('fake-verifier'),
    expiresAt,
  };
}

async function insert(given: PendingLogin, now: number): Promise<void> {
  await test.vault.transaction(await insertLogin(test.vault.sealer, given, now));
}

const consume = (id: string, now: number) => test.vault.transaction(() => consumeLogin(id, now));
const count = async () => (await test.vault.run(() => query('SELECT id FROM logins'))).length;

describe('a login in flight', () => {
  it('is used once', async () => {
    expect(await consume(login.id, 50)).toBe('ok');
    expect(await consume(login.id, 50)).toBe('unknown');
  });

  it('is used by exactly one of two that come back at the same moment', async () => {
    const other = await test.openAgain();
    const used = await Promise.all([
      consume(login.id, 50),
      other.transaction(() => consumeLogin(login.id, 50)),
    ]);
    expect(used.toSorted()).toEqual(['ok', 'unknown']);
  });

  it('is over when its time has come', async () => {
    expect(await consume(login.id, 100)).toBe('ended');
    expect(await consume(login.id, 99)).toBe('ok');
  });

  it('keeps its client after it was used, until it has saved what it brought', async () => {
    await consume(login.id, 50);
    const deleteClient = () => test.vault.transaction(() => deleteUnusedClient(login.clientRowId));
    expect(await deleteClient()).toBe(false);
    await test.vault.transaction(() => deleteLogin(login.id));
    expect(await deleteClient()).toBe(true);
  });

  it('does not exist under another id', async () => {
    expect(await consume(randomUUID(), 50)).toBe('unknown');
    expect(await count()).toBe(1);
  });

  it('is forgotten when it is given up', async () => {
    await test.vault.transaction(() => deleteLogin(login.id));
    expect(await consume(login.id, 50)).toBe('unknown');
  });

  it('goes, when its time has come, with the next one that begins', async () => {
    await insert(pending(login.clientRowId, 'state-2', 300), 99);
    expect(await count()).toBe(2);
    await insert(pending(login.clientRowId, 'state-3', 300), 100);
    expect(await count()).toBe(2);
  });

  it('whose answer the daemon takes is told of for an hour after it came', async () => {
    const web = { ...pending(login.clientRowId, 'state-2', 100), begunBy: 'agent:host' };
    await insert(web, 0);
    expect(await consume(web.id, 50)).toBe('ok');
    const find = (now: number) => test.vault.run(() => findWebLogin(web.id, now));
    expect(await find(50 + OUTCOME_KEPT_MS - 1)).toMatchObject({ usedAt: 50, endedAt: null });
    expect(await find(50 + OUTCOME_KEPT_MS)).toBeUndefined();
  });

  it('ends once: what came first stays', async () => {
    const web = { ...pending(login.clientRowId, 'state-2', 100), begunBy: 'agent:host' };
    await insert(web, 0);
    await test.vault.transaction(() => endLogin(web.id, { accountIdentity: 'alice' }, 50));
    await test.vault.transaction(() => endLogin(web.id, { code: 'internal', message: 'late' }, 60));
    const ended = await test.vault.run(() => findWebLogin(web.id, 60));
    expect(ended).toMatchObject({ endedAt: 50, accountIdentity: 'alice', error: null, waiting: undefined });
  });

  it('shows neither its state nor its verifier in the file', () => {
    const file = readFileSync(`${test.path}-wal`, 'latin1');
    expect(file).not.toContain('state-1');
    expect(file).not.toContain('fake-verifier');
  });
});
