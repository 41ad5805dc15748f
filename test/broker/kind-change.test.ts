/** Every kind of credential in place of every other: what takes its place, what is refused, and what is told. */
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import {
  CREDENTIAL_KINDS,
  type CredentialKind,
  describeKind,
  isStatic,
} from '../../src/core/credential-kind.ts';
import { Secret } from '../../src/secret.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import { signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld({ authorizationServer: withMachines({ alwaysIssueRefreshToken: true }) });
  broker = await world.openBroker();
  await signIn(broker, world.authorizationServer, world.authorizationServer.issuer, { name: 'corp' });
});

afterEach(() => world.close());

const SECRET = 'fake-secret-of-the-tests';
const entered = (credential: Parameters<Broker['addStatic']>[0]['credential'], name = 'demo') =>
  broker.addStatic({ name, url: world.mcp.url, credential });

/** Connects `demo` in each way. */
const CONNECT: Record<CredentialKind, () => Promise<{ notes?: string[] } | object>> = {
  oauth: () => signIn(broker, world.authorizationServer, world.mcp.url),
  client_credentials: () => broker.add(byPost(world.mcp.url)),
  bearer: () => entered({ kind: 'bearer', token: new Secret(SECRET) }),
  headers: () =>
    entered({
      kind: 'headers',
      headers: [{ header: { name: 'X-Key', template: '{{token}}' }, value: new Secret(SECRET) }],
    }),
  identity: () => broker.addIdentity({ name: 'demo', url: world.mcp.url, source: 'corp', mode: 'forward' }),
  none: () => entered({ kind: 'none' }),
};

/** What an agent would send. */
async function sent(): Promise<Record<string, string>> {
  const { headers } = await broker.headers(OPERATOR, 'demo');
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]));
}

const HEADERS: Partial<Record<CredentialKind, object>> = {
  bearer: { Authorization: `Bearer ${SECRET}` },
  headers: { 'X-Key': SECRET },
  none: {},
};

const kindNow = async () => (await broker.show(OPERATOR, 'demo')).kind;
const wordsOf = (kind: CredentialKind) =>
  `${kind} (${kind === 'identity' ? 'made from the logins at corp' : describeKind(kind)})`;
const PAIRS = CREDENTIAL_KINDS.flatMap((from) => CREDENTIAL_KINDS.map((to) => ({ from, to })));
const others = PAIRS.filter(({ from, to }) => from !== to);

describe('a connection', () => {
  it.each(CREDENTIAL_KINDS)('of kind %s is connected again without a word about its kind', async (kind) => {
    await CONNECT[kind]();
    expect(await CONNECT[kind]()).not.toHaveProperty('notes');
    expect(await kindNow()).toBe(kind);
  });

  it.each(others.filter(({ to }) => isStatic(to)))(
    'of kind $from becomes one of kind $to: what went is told, and nothing of it stays',
    async ({ from, to }) => {
      await CONNECT[from]();
      const before = rowsOf<{ secrets: string }>(
        world.vaultPath,
        "SELECT * FROM connections WHERE server = 'demo'",
      );
      const { notes } = (await CONNECT[to]()) as { notes: string[] };
      expect(notes[0]).toContain(`it was of kind ${wordsOf(from)}`);
      expect(notes.join(' ').includes('the server would still accept it')).toBe(
        from === 'oauth' || from === 'client_credentials',
      );
      expect(await kindNow()).toBe(to);
      expect(await sent()).toEqual(HEADERS[to]);
      const [row, ...more] = rowsOf<Record<string, unknown>>(
        world.vaultPath,
        "SELECT * FROM connections WHERE server = 'demo'",
      );
      expect(more).toEqual([]);
      expect(before.map(({ secrets }) => secrets)).not.toContain(row?.secrets);
      expect(row).toMatchObject({
        ...{ client_row_id: null, has_refresh_token: 0, access_expires_at: null, scope: null },
        ...{ account_identity: null, expected_account: null, spare: null, state: 'ok' },
      });
      expect(
        rowsOf(world.vaultPath, "SELECT settings, pinned_issuer FROM servers WHERE name = 'demo'"),
      ).toEqual([{ settings: '{}', pinned_issuer: null }]);
      // The login of corp has the only client that is left.
      expect(rowsOf(world.vaultPath, 'SELECT id FROM clients')).toHaveLength(1);
    },
  );

  it.each(others.filter(({ to }) => !isStatic(to)))(
    'of kind $from is not given up for one of kind $to that nobody tried: the kind is named, and what makes room',
    async ({ from, to }) => {
      await CONNECT[from]();
      const before = await sent();
      const refusal = await CONNECT[to]().catch((error: unknown) => error);
      expect(refusal).toMatchObject({
        code: 'usage',
        message: expect.stringContaining(`demo is of kind ${wordsOf(from)}`),
        // With the URL: where the last connection went, nobody knows the server any more.
        hint: expect.stringContaining(
          to === 'oauth'
            ? `broker logout demo; broker login ${world.mcp.url} --name demo`
            : `broker logout demo; then the same command, with --url ${world.mcp.url}`,
        ),
      });
      expect([await kindNow(), await sent()]).toEqual([from, before]);
      await broker.logout(OPERATOR, 'demo');
      await CONNECT[to]();
      expect(await kindNow()).toBe(to);
      expect(await broker.token(OPERATOR, 'corp')).toBeTruthy();
    },
  );
});

describe('a login that became a token entered by hand', () => {
  it('leaves no late pair, no demand for an account and no setting behind, and tells them', async () => {
    const { authorizationServer, mcp } = world;
    await signIn(broker, authorizationServer, mcp.url, { recovery: 'reuse-safe', refreshScope: 'send' });
    const database = new DatabaseSync(world.vaultPath);
    database.exec(
      "UPDATE connections SET spare = 'fake', spare_generation = 1, expected_account = 'alice' WHERE name = 'demo'",
    );
    database.close();
    const { notes } = (await CONNECT.bearer()) as { notes: string[] };
    expect(notes.slice(1)).toEqual([
      'no longer applies, as broker show named it: recovery, scope',
      'it need not belong to alice any more',
    ]);
    expect(
      rowsOf(
        world.vaultPath,
        "SELECT spare, spare_generation, expected_account FROM connections WHERE name = 'demo'",
      ),
    ).toEqual([{ spare: null, spare_generation: null, expected_account: null }]);
  });

  it('is told where a login is begun in its place, with the command that renews it', async () => {
    await CONNECT.bearer();
    await expect(CONNECT.oauth()).rejects.toMatchObject({
      message: 'demo is of kind bearer (a token that was entered by hand): nobody signs in to it',
      hint: expect.stringMatching(/^to enter its credential again: broker add demo --bearer-file <file>\n/),
    });
  });
});

describe('a server with several connections', () => {
  it('keeps its kind for the others: they are named, with what makes room', async () => {
    await entered({ kind: 'none' }, 'demo@one');
    await entered({ kind: 'none' }, 'demo@two');
    const hint =
      `give this one a server name of its own: broker add <name> --url ${world.mcp.url} …\n` +
      'or give up what is there: broker logout demo@two';
    await expect(entered({ kind: 'bearer', token: new Secret(SECRET) }, 'demo@one')).rejects.toMatchObject({
      code: 'usage',
      message: `demo is of kind ${wordsOf('none')}`,
      hint,
    });
  });

  it('keeps its kind while connections of another server are made from its logins', async () => {
    const { issuer } = world.authorizationServer;
    await CONNECT.identity();
    const at = { name: 'corp', url: issuer };
    const token = { kind: 'bearer', token: new Secret(SECRET) } as const;
    await signIn(broker, world.authorizationServer, issuer, { name: 'other' });
    const tries = [
      () => broker.addStatic({ ...at, credential: token }),
      () => broker.add(byPost(issuer, { name: 'corp' })),
      () => broker.addIdentity({ ...at, source: 'other', mode: 'forward' }),
    ];
    for (const attempt of tries) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'usage',
        message: 'demo is made from the logins at corp',
        hint: expect.stringContaining('broker logout demo'),
      });
    }
    // Also when nobody is signed in there for now.
    await broker.logout(OPERATOR, 'corp');
    await expect(broker.addStatic({ ...at, credential: token })).rejects.toMatchObject({ code: 'usage' });
  });
});
