import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NewConnection } from '../../src/broker/add.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { freePort } from '../support/free-port.ts';
import { granted, type MachineServer, startMachineServer } from '../support/machine-server.ts';
import { auditTrail, connectionRow } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE_MS = 60_000;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

let world: World;
let broker: Broker;
let server: MachineServer;
/** Where the platform puts its token. */
let file: string;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  server = await startMachineServer();
  file = join(world.home.path, 'platform-token');
  await writeFile(file, 'fake.assertion.one\n');
});

afterEach(async () => {
  await world.close();
  await server.close();
});

const row = () => connectionRow(world.vaultPath);
const token = async () => (await broker.token(OPERATOR, 'demo')).accessToken.reveal();
const refused = (error: string) => () => ({ status: 400, body: { error } });
const addWith = (changes: Partial<NewConnection> & Pick<NewConnection, 'grant'>) =>
  broker.add({ name: 'demo', url: server.mcp, ...changes });
const assertions = () => server.asked.map(({ form }) => form.assertion);

describe('a workload identity (RFC 7523 §2.1)', () => {
  const add = (assertionFile = file) => addWith({ grant: { kind: 'jwt_bearer', assertionFile } });

  it('shows the assertion with the resource, and nothing else says who we are', async () => {
    expect(await add()).toMatchObject({ state: 'ok', grant: `workload identity from ${file}` });
    expect(server.asked).toEqual([
      {
        form: { grant_type: JWT_BEARER, assertion: 'fake.assertion.one', resource: server.mcp },
        authorization: undefined,
      },
    ]);
    expect(await token()).toBe('fake-access-1');
  });

  it('shows what the file holds at that moment', async () => {
    await add();
    await writeFile(file, 'fake.assertion.two');
    world.clock.jump(60 * MINUTE_MS);
    expect(await token()).toBe('fake-access-2');
    expect(assertions()).toEqual(['fake.assertion.one', 'fake.assertion.two']);
  });

  it('follows a link, as platforms put them', async () => {
    const link = join(world.home.path, 'link');
    await symlink(file, link);
    expect(await add(link)).toMatchObject({ state: 'ok' });
  });

  it.each(['invalid_grant', 'invalid_client', 'unsupported_grant_type', 'invalid_target', 'invalid_request'])(
    'that is refused with %s is shown once, in no other way and with no other grant',
    async (error) => {
      server.answer(refused(error));
      await expect(add()).rejects.toMatchObject({ connection: 'demo' });
      await expect(token()).rejects.toThrow();
      expect(server.asked.map(({ form }) => form.grant_type)).toEqual([JWT_BEARER]);
      expect(row()).toMatchObject({ code: error, failures: 1 });
      server.answer(() => granted('mended'));
      await broker.refresh(OPERATOR, 'demo');
      expect(await token()).toBe('fake-access-mended');
    },
  );
});

describe('a token file', () => {
  const add = (assertionFile = file) => addWith({ grant: { kind: 'jwt_bearer', assertionFile } });

  it.each<[string, string, (path: string) => Promise<unknown>]>([
    ['is missing', 'ENOENT', (path) => unlink(path)],
    ['is empty', 'it is empty', (path) => writeFile(path, ' \n')],
    ['holds two words', 'it holds more than a token', (path) => writeFile(path, 'fake.one fake.two')],
    ['is too large', 'it is too large', (path) => writeFile(path, 'x'.repeat(64 * 1024 + 1))],
    ['is a directory', 'it is not a file', (path) => unlink(path).then(() => mkdir(path))],
  ])('that %s asks nobody, is told, and is tried again', async (_, reason, spoil) => {
    await add();
    const before = server.asked.length;
    await spoil(file);
    world.clock.jump(61 * MINUTE_MS);
    const cause = `the token file "${file}" cannot be used: ${reason}`;
    await expect(token()).rejects.toMatchObject({
      ...{ code: 'config_error', message: cause, connection: 'demo' },
      hint: expect.stringMatching(/^it holds one token .+\nthen: broker refresh demo$/),
    });
    expect(server.asked.length).toBe(before);
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      ...{ state: 'config_error', code: 'config_error', cause },
      next_attempt_at: expect.any(String),
    });
    expect(await broker.check(OPERATOR, 'demo')).toMatchObject({ exit_code: 2 });
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'mint', outcome: 'config_error' });
  });

  it('is not asked for over and over by those who want a token', async () => {
    await add();
    await unlink(file);
    world.clock.jump(61 * MINUTE_MS);
    for (let time = 0; time < 3; time += 1)
      await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    expect(row().failures).toBe(1);
    await writeFile(file, 'fake.assertion.two');
    world.clock.jump(7_000);
    expect(await token()).toBe('fake-access-2');
    expect(row()).toMatchObject({ state: 'ok', failures: 0 });
  });

  it('that is missing costs nothing while the token lives', async () => {
    await add();
    await unlink(file);
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toMatchObject({ code: 'config_error' });
    expect(await broker.token(OPERATOR, 'demo')).toMatchObject({
      warnings: [expect.stringMatching(/^config_error: the token file .+; run: broker refresh demo$/)],
    });
  });

  it('that is missing from the start leaves a connection that says so', async () => {
    await expect(add(`${file}.nowhere`)).rejects.toMatchObject({ code: 'config_error' });
    expect(row()).toMatchObject({ state: 'config_error', generation: 1 });
    await expect(token()).rejects.toMatchObject({ code: 'config_error' });
    await writeFile(`${file}.nowhere`, 'fake.assertion.late');
    await broker.refresh(OPERATOR, 'demo');
    expect(await token()).toBe('fake-access-1');
  });

  it('that is missing does not keep a daemon busy', async () => {
    await add();
    await token();
    await broker.close();
    const daemon = await world.openBroker({ isResident: true });
    await unlink(file);
    await world.clock.untilWaiting();
    world.clock.jump(55 * MINUTE_MS);
    await world.clock.advance(30_000);
    await vi.waitFor(() => expect(row()).toMatchObject({ state: 'config_error', failures: 1 }));
    // Many turns in less time than until the next attempt, with room for the disk in between.
    for (let turn = 0; turn < 16; turn += 1) {
      await world.clock.untilWaiting();
      await world.clock.advance(250);
      for (let look = 0; look < 5; look += 1) await daemon.show(OPERATOR, 'demo');
      expect(row().failures).toBe(1);
    }
    await daemon.close();
  });
});

describe('an enterprise-managed connection (RFC 8693)', () => {
  let provider: MachineServer;
  beforeEach(async () => {
    // Nobody is sent to it with a browser.
    provider = await startMachineServer({ authorization_endpoint: undefined });
    provider.answer(() => granted('grant', { issued_token_type: ID_JAG, token_type: 'N_A' }));
  });
  afterEach(() => provider.close());

  const add = (issuer = provider.url) =>
    addWith({
      clientId: 'at-the-server',
      grant: {
        kind: 'id_jag',
        subjectTokenFile: file,
        identityProvider: { issuer, clientId: 'at-the-provider' },
      },
    });

  it('exchanges the ID token for a grant at this server, and shows only that to the server', async () => {
    await add();
    expect(provider.asked.map(({ form }) => form)).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        requested_token_type: ID_JAG,
        audience: server.url,
        resource: server.mcp,
        subject_token: 'fake.assertion.one',
        subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
        client_id: 'at-the-provider',
      },
    ]);
    expect(server.asked.map(({ form }) => form)).toEqual([
      {
        grant_type: JWT_BEARER,
        assertion: 'fake-access-grant',
        resource: server.mcp,
        client_id: 'at-the-server',
      },
    ]);
    expect(await token()).toBe('fake-access-1');
  });

  it('looks up the provider once, and again when it could not be asked', async () => {
    await add();
    const looked = () => provider.requests.filter(({ path }) => path.startsWith('/.well-known/')).length;
    await broker.refresh(OPERATOR, 'demo');
    expect(looked()).toBe(1);
    provider.answer(() => ({ status: 404, body: 'moved' }));
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    await expect(broker.refresh(OPERATOR, 'demo')).rejects.toThrow();
    expect(looked()).toBe(2);
  });

  it('gets a new grant for each token', async () => {
    await add();
    provider.answer(() => granted('next', { issued_token_type: ID_JAG }));
    await broker.refresh(OPERATOR, 'demo');
    expect(assertions()).toEqual(['fake-access-grant', 'fake-access-next']);
  });

  it('shows no token of another kind to the server', async () => {
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token';
    provider.answer(() => granted('powerful', { issued_token_type }));
    await expect(add()).rejects.toMatchObject({
      code: 'config_error',
      message: `the identity provider ${provider.url} issues another kind of token than was asked for`,
    });
    expect(server.asked).toEqual([]);
    expect(row().state).toBe('config_error');
  });

  it('shows nothing to the server when the identity provider refuses, whatever stands in its answer', async () => {
    provider.answer(() => ({ status: 400, body: { error: 'invalid_grant', access_token: 'fake-odd' } }));
    await expect(add()).rejects.toMatchObject({
      code: 'config_error',
      message: expect.stringContaining(
        `the identity provider ${provider.url} refused to exchange the token (invalid_grant)`,
      ),
    });
    expect(provider.asked).toHaveLength(1);
    expect(server.asked).toEqual([]);
  });

  it('is degraded while the identity provider is down, and mends', async () => {
    await add();
    const { port } = new URL(provider.url);
    await provider.close();
    world.clock.jump(61 * MINUTE_MS);
    await expect(token()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(row()).toMatchObject({ state: 'degraded', code: 'econnrefused', failures: 1 });
    expect(await broker.show(OPERATOR, 'demo')).toMatchObject({
      cause: `the identity provider http://127.0.0.1:${port} could not be asked (econnrefused)`,
    });
    provider = await startMachineServer();
  });

  it('with an identity provider that is nowhere leaves a connection that says so', async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    await expect(add(nowhere)).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(row()).toMatchObject({ state: 'degraded', generation: 1 });
  });
});
