import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diagnose } from '../../src/broker/doctor.ts';
import { diagnosisCode, STEPS } from '../../src/core/diagnosis.ts';
import { createFetch } from '../../src/oauth/http.ts';
import { byStep, openPractice } from '../support/doctor.ts';
import { freePort } from '../support/free-port.ts';
import { serveRoutes } from '../support/provider.ts';
import { startRawServer } from '../support/raw-server.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';
import { rowsOf } from '../support/vault-file.ts';

const { world, start, startConnected, signIn, examine, examineOne, requestsTo, redirectUri } = openPractice();

/** All of the vault but Keyv's own table. */
const everythingStored = () =>
  ['connections', 'servers', 'clients', 'rotations', 'audit', 'logins', 'leases', 'cache'].map((table) =>
    rowsOf(world().vaultPath, `SELECT * FROM ${table}`),
  );

describe('a healthy connection', () => {
  it('is ok in every step', async () => {
    await startConnected();
    const { code, names, step, verdicts } = await examineOne();
    expect(names).toEqual(STEPS);
    expect(new Set(Object.values(verdicts))).toEqual(new Set(['ok']));
    expect(code).toBe(0);
    const { issuer } = world().authorizationServer;
    expect(step('key')?.message).toContain('master.key opens the vault');
    expect(step('files')?.message).toContain('broker.db 0600');
    expect(step('clock')?.message).toMatch(/^agrees with 127\.0\.0\.1:\d+; nothing in the vault is from/);
    expect(step('discovery')?.message).toMatch(
      new RegExp(
        `^401 that names its metadata, resource ${world().mcp.url}, issuer ${issuer}, PKCE announced`,
      ),
    );
    expect(step('discovery')?.message).toContain('registration dynamic');
    expect(step('registration')?.message).toMatch(
      /^the registered client [\w-]+, still known to the server$/,
    );
    expect(step('redirect')?.message).toBe(`${await redirectUri()} is free for the next login`);
    expect(step('token')?.message).toMatch(/^access token ends 2\S+Z, with refresh token$/);
    expect(step('initialize')?.message).toBe('test-mcp-server 1.0.0 accepts the token');
  });

  it('is left as it was: nothing stored, refreshed or registered, no session left open', async () => {
    await startConnected();
    const stored = everythingStored();
    const [tokens, registrations] = [requestsTo('/token').length, requestsTo('/reg').length];
    await examine('demo');
    await examine();
    expect(everythingStored()).toEqual(stored);
    expect(requestsTo('/token')).toHaveLength(tokens);
    const more = requestsTo('/reg').slice(registrations);
    expect(more.map(({ method }) => method)).toEqual(['GET', 'GET']);
    const sessions = world().mcp.requests.filter(({ method }) => method === 'DELETE');
    expect(sessions.map(({ status }) => status)).toEqual([200, 200]);
  });

  it('is told without a secret', async () => {
    await startConnected();
    const told = JSON.stringify([await examine('demo'), await examine()]);
    const secrets = secretsSeenBy(world().authorizationServer);
    expect([...secrets.values()]).toEqual(
      expect.arrayContaining(['access_token', 'refresh_token', 'registration_access_token']),
    );
    expect([...secrets].filter(([secret]) => told.includes(secret)).map(([, field]) => field)).toEqual([]);
  });

  it('whose token has ended is skipped in initialize and fine otherwise', async () => {
    await startConnected({ authorizationServer: { accessTokenSeconds: 20 } });
    world().clock.jump(20_000);
    const { code, step, verdicts } = await examineOne();
    expect(code).toBe(0);
    expect(verdicts).toMatchObject({ token: 'ok', initialize: 'skipped' });
    expect(step('initialize')?.remedy).toBe('broker refresh demo');
    expect(world().mcp.requests.filter(({ bearer }) => bearer !== undefined)).toEqual([]);
  });
});

describe('without a target', () => {
  it('examines the vault, then every connection, also two that share a client', async () => {
    await startConnected({}, { account: 'alice' });
    await signIn({ account: 'bob', person: 'bob' });
    const read = requestsTo('/reg/').length;
    const diagnoses = await examine();
    // Their client is looked at once: two at the same time would find its port taken by the other.
    expect(requestsTo('/reg/').length - read).toBe(1);
    expect(diagnoses.map(({ target }) => target)).toEqual(['vault', 'demo@alice', 'demo@bob']);
    const [vault, ...connections] = diagnoses.map(byStep);
    expect(vault?.names).toEqual(['key', 'files', 'clock']);
    for (const connection of connections) {
      expect(connection.names).toEqual(STEPS.slice(2));
      expect(connection.verdicts.redirect).toBe('ok');
    }
    expect(diagnosisCode(diagnoses)).toBe(0);
  });

  it('examines all accounts of a server by its name, its URL too', async () => {
    await startConnected({}, { account: 'alice' });
    await signIn({ account: 'bob', person: 'bob' });
    for (const words of ['demo', world().mcp.url]) {
      const targets = (await examine(words)).map(({ target }) => target);
      expect(targets).toEqual(['vault', 'demo@alice', 'demo@bob']);
    }
    expect((await examine('demo@bob')).map(({ target }) => target)).toEqual(['demo@bob']);
  });

  it('fails with the vault when there is none', async () => {
    await start();
    const diagnoses = await examine();
    expect(diagnoses).toMatchObject([{ target: 'vault', steps: [{ verdict: 'skipped' }, {}, {}] }]);
    expect(diagnoses[0]?.steps[1]).toMatchObject({ verdict: 'failed', code: 'vault_missing' });
    expect(diagnosisCode(diagnoses)).toBe(3);
  });
});

describe('a server that is not connected', () => {
  it('is examined without a vault, and nothing is made or registered', async () => {
    await start();
    const { code, names, step } = await examineOne(world().mcp.url);
    expect(names).toEqual(['clock', 'discovery', 'registration']);
    expect(step('registration')?.message).toMatch(/^dynamic: /);
    expect(code).toBe(0);
    expect(requestsTo('/reg')).toEqual([]);
    expect(existsSync(dirname(world().vaultPath))).toBe(false);
  });

  it('is examined beside a vault that holds others, without its steps', async () => {
    await startConnected();
    const { issuer } = world().authorizationServer;
    const mcp = await serveRoutes((url) => ({
      '/mcp': { status: 401, headers: { 'www-authenticate': 'Bearer' } },
      '/.well-known/oauth-protected-resource/mcp': {
        status: 200,
        body: { resource: `${url}/mcp`, authorization_servers: [issuer] },
      },
    }));
    const { names, step } = await examineOne(`${mcp.url}/mcp`);
    await mcp.close();
    expect(names).toEqual(['clock', 'discovery', 'registration']);
    expect(step('discovery')?.message).toMatch(/^401 with a bare challenge, /);
  });

  it.each<[string, (document: Record<string, unknown>) => Record<string, unknown>, string, number]>([
    ['none', ({ registration_endpoint: _, ...document }) => document, '--client-id', 1],
    [
      'document',
      ({ registration_endpoint: _, ...document }) => ({
        ...document,
        client_id_metadata_document_supported: true,
      }),
      '--client-metadata-url',
      1,
    ],
  ])('whose way to a client is %s says what to bring', async (way, metadata, remedy, code) => {
    await start({ authorizationServer: { metadata } });
    const found = await examineOne(world().mcp.url);
    expect(found.step('registration')?.message).toMatch(new RegExp(`^${way}: `));
    expect(found.step('registration')?.remedy).toContain(remedy);
    expect(found.code).toBe(code);
  });

  it('is down: what could not be asked is skipped', async () => {
    await start();
    const { code, step, verdicts } = await examineOne(`http://127.0.0.1:${await freePort()}/mcp`);
    expect(verdicts).toEqual({ clock: 'skipped', discovery: 'failed', registration: 'skipped' });
    expect(step('discovery')?.code).toBe('upstream_unavailable');
    expect(code).toBe(75);
  });

  it('is not even found, because the name server is silent: given up after seconds', async () => {
    await start();
    const { settings, clock } = world();
    const fetch = createFetch({ ...settings, lookup: () => {} });
    const begunAt = performance.now();
    const [diagnosis] = await diagnose({ settings, clock, fetch }, 'https://mcp.example.com/mcp');
    expect(diagnosis?.steps[1]).toMatchObject({ verdict: 'failed', code: 'upstream_unavailable' });
    expect(diagnosis?.steps[1]?.message).toContain('no answer came in time');
    expect(performance.now() - begunAt).toBeLessThan(9_500);
  }, 15_000);

  it('never answers: given up after seconds', async () => {
    await start();
    const silent = await startRawServer(() => 'hang');
    const { code, verdicts } = await examineOne(`${silent.url}/mcp`);
    await silent.close();
    expect(verdicts.discovery).toBe('failed');
    expect(code).toBe(75);
  }, 15_000);
});

describe('a target that is nothing', () => {
  it.each(['http://mcp.example.com/mcp', 'https://me:pw@mcp.example.com/', 'ftp://x/', 'No Name', '@'])(
    '%j is a mistake of whoever typed it',
    async (words) => {
      await start();
      await expect(examine(words)).rejects.toMatchObject({ code: 'usage' });
    },
  );

  it('is not found among the connections there are', async () => {
    await startConnected();
    await expect(examine('nonsense')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('cannot be looked up without a vault', async () => {
    await start();
    const { code, verdicts } = await examineOne('nonsense');
    expect(verdicts).toMatchObject({ key: 'skipped', files: 'failed', token: 'skipped' });
    expect(code).toBe(3);
  });
});
