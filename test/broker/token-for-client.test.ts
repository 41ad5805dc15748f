import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Caller } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { ClientWish } from '../../src/broker/token-for-client.ts';
import type { AccessMode } from '../../src/core/access-policy.ts';
import { BrokerError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';
import { type McpTestServer, startMcpServer } from '../support/mcp-server.ts';
import { signIn } from '../support/sign-in.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

/** As its metadata spells it: a bare host without a slash. */
const BARE = 'https://bare.example.com';

let world: World;
let broker: Broker;
let other: McpTestServer;

/** An agent as `authenticateClient` would give it. */
async function agent(allow: string[], modes: AccessMode[] = ['token']): Promise<Caller> {
  const { key } = await broker.agents.add({
    name: 'docs-bot',
    allow,
    modes,
    admin: false,
    expiresAt: null,
    allowUnknown: true,
  });
  return { kind: 'agent', agent: await broker.agents.authenticate(key) };
}

const connectionFor = async (caller: Caller, wish: Partial<ClientWish>) =>
  (await broker.tokenForClient(caller, { resources: [], ...wish })).connection;

/** How the wish is refused. Fails when it is not. */
async function refusalOf(caller: Caller, wish: Partial<ClientWish>): Promise<BrokerError> {
  const answer = await connectionFor(caller, wish).catch((error: unknown) => error);
  if (answer instanceof BrokerError) return answer;
  throw answer instanceof Error ? answer : new Error(`it was handed the token of ${answer}`);
}

/** The newest row of the audit trail. */
function lastRecord(): Record<string, unknown> {
  const sql =
    'SELECT actor, action, connection, outcome, detail FROM audit ORDER BY at DESC, rowid DESC LIMIT 1';
  const [{ detail = '{}', ...row } = {}] = rowsOf<Record<string, string>>(world.vaultPath, sql);
  return { ...row, ...JSON.parse(detail) };
}

/** `notes` and `notes@alice` have one resource; `files` has another, of a bare host. */
beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
  const { authorizationServer, mcp } = world;
  other = await startMcpServer({ authorizationServer, resourceOverride: BARE, metadataAt: 'path' });
  await signIn(broker, authorizationServer, mcp.url, { name: 'notes' });
  await signIn(broker, authorizationServer, mcp.url, { name: 'notes@alice' });
  await signIn(broker, authorizationServer, other.url, { name: 'files', pinnedResource: BARE });
});

afterEach(async () => {
  await other.close();
  await world.close();
});

describe('the connection a client means', () => {
  it('is the one of the resource', async () => {
    const caller = await agent(['notes', 'files']);
    expect(await connectionFor(caller, { resources: [world.mcp.url] })).toBe('notes');
    expect(await connectionFor(caller, { resources: [BARE] })).toBe('files');
    expect(await connectionFor(caller, { resources: [BARE, BARE] })).toBe('files');
  });

  it('is found with or without a slash at the end of the resource, and in no other way', async () => {
    const caller = await agent(['notes', 'files']);
    expect(await connectionFor(caller, { resources: [`${BARE}/`] })).toBe('files');
    expect(await connectionFor(caller, { resources: [`${world.mcp.url}/`] })).toBe('notes');
    for (const other of [`${BARE}//`, BARE.toUpperCase(), `${BARE}:443`, `${BARE}/?`, `${BARE}#`, '/', ''])
      expect(await refusalOf(caller, { resources: [other] })).toMatchObject({ code: 'not_found' });
  });

  it('is the one whose resource is exactly that, before one that differs by a slash', async () => {
    const file = new DatabaseSync(world.vaultPath);
    file.prepare("UPDATE servers SET resource = ? WHERE name = 'notes'").run(`${BARE}/`);
    file.close();
    const caller = await agent(['notes', 'files']);
    expect(await connectionFor(caller, { resources: [BARE] })).toBe('files');
    expect(await connectionFor(caller, { resources: [`${BARE}/`] })).toBe('notes');
  });

  it.each([
    ['connection:notes@alice', 'notes@alice'],
    ['connection:notes%40alice', 'notes@alice'],
    ['mcp:all connection:notes offline_access', 'notes'],
    ['connection:notes connection:notes', 'notes'],
  ])('is the one named by the scope %j', async (scope, name) => {
    const caller = await agent(['notes', 'notes@*', 'files']);
    expect(await connectionFor(caller, { scope })).toBe(name);
  });

  it('is the named one of those with the resource', async () => {
    const caller = await agent(['notes', 'notes@*', 'files']);
    const resources = [world.mcp.url];
    expect(await connectionFor(caller, { resources, scope: 'connection:notes@alice' })).toBe('notes@alice');
  });

  it.each([undefined, '', 'mcp:all', 'connections:notes xconnection:notes'])(
    'is the only one there is for the agent when scope %j names none',
    async (scope) => {
      expect(await connectionFor(await agent(['files']), { scope })).toBe('files');
    },
  );

  it('has a bearer token: others do not count', async () => {
    const caller = await agent(['notes', 'files']);
    const file = new DatabaseSync(world.vaultPath);
    file.exec("UPDATE servers SET kind = 'headers' WHERE name = 'notes'");
    file.close();
    expect(await connectionFor(caller, {})).toBe('files');
    expect(await refusalOf(caller, { resources: [world.mcp.url] })).toMatchObject({ code: 'not_found' });
  });
});

describe('what cannot be decided', () => {
  it('is refused with what the agent may see, and nothing else', async () => {
    const caller = await agent(['notes', 'files']);
    const { code, message, hint } = await refusalOf(caller, {});
    expect([code, message]).toEqual(['bad_request', 'the request does not say which connection it wants']);
    expect(hint).toBe(`send scope=connection:NAME with one of: files (${BARE}), notes (${world.mcp.url})`);
  });

  it('is refused naming those with the resource when they are several', async () => {
    const caller = await agent(['notes', 'notes@*', 'files']);
    const { code, hint } = await refusalOf(caller, { resources: [world.mcp.url] });
    expect(code).toBe('bad_request');
    expect(hint).toMatch(/: notes \(\S+\), notes@alice \(\S+\)$/);
  });

  it.each<[string, Partial<ClientWish>]>([
    ['two resources', { resources: ['https://a.example.com', BARE] }],
    ['two names', { scope: 'connection:notes connection:files' }],
  ])('is refused for %s', async (_, wish) => {
    const error = await refusalOf(await agent(['notes', 'files']), wish);
    expect(error).toMatchObject({ code: 'bad_request', hint: 'ask once for each' });
  });

  it('names at most 20', async () => {
    const file = new DatabaseSync(world.vaultPath);
    const columns =
      'server, client_row_id, state, since, failures, generation, received_at, has_refresh_token, refresh_is_prolonged, secrets, created_at';
    const copy = file.prepare(
      `INSERT INTO connections (id, name, ${columns}) SELECT ?, ?, ${columns} FROM connections WHERE name = 'notes'`,
    );
    for (let number = 10; number < 40; number += 1) copy.run(`copy-${number}`, `notes@${number}`);
    file.close();
    const { hint = '' } = await refusalOf(await agent(['notes@*']), {});
    expect(hint.match(/notes@\w+/g)).toHaveLength(20);
    expect(hint).toMatch(/ and 11 more$/);
  });
});

describe('what is not this agent’s', () => {
  it('answers like what is not there, and both are on disk', async () => {
    const caller = await agent(['files']);
    const wishes = [
      [{ resources: [world.mcp.url] }, { resources: ['https://unknown.example.com'] }],
      [{ scope: 'connection:notes' }, { scope: 'connection:nothing' }],
      [
        { scope: 'connection:notes', resources: [BARE] },
        { scope: 'connection:nothing', resources: [BARE] },
      ],
    ] as const;
    for (const [hidden, unknown] of wishes) {
      const told = await refusalOf(caller, hidden as Partial<ClientWish>);
      expect(lastRecord()).toMatchObject({ actor: 'agent:docs-bot', action: 'token', outcome: 'not_found' });
      const { code, message, hint } = await refusalOf(caller, unknown as Partial<ClientWish>);
      expect([told.code, told.message, told.hint]).toEqual([code, message.replace('nothing', 'notes'), hint]);
    }
    expect(auditTrail(world.vaultPath).filter(({ outcome }) => outcome === 'not_found')).toHaveLength(6);
  });

  it('is not reached by naming a resource of one and the name of another', async () => {
    const caller = await agent(['notes', 'files']);
    const wish = { scope: 'connection:notes', resources: [BARE] };
    expect(await refusalOf(caller, wish)).toMatchObject({ code: 'not_found' });
    expect(lastRecord()).toMatchObject({ resource: BARE, named: 'notes' });
  });

  it('is said plainly to an agent that may use nothing', async () => {
    expect(await refusalOf(await agent(['nothing']), {})).toMatchObject({
      code: 'not_found',
      message: 'no connection of this agent has an access token',
    });
  });

  it('is refused to an agent without the mode token', async () => {
    const caller = await agent(['files'], ['gateway']);
    expect(await refusalOf(caller, {})).toMatchObject({ code: 'forbidden', connection: 'files' });
    expect(lastRecord()).toMatchObject({ action: 'token', connection: 'files', outcome: 'forbidden' });
  });

  it('leaves no long or unprintable words of a stranger on disk', async () => {
    const resource = `https://x.example.com/\u001b[2J${'x'.repeat(5000)}`;
    await refusalOf(await agent(['files']), { resources: [resource], scope: 'connection:NOT-A-NAME' });
    const { resource: kept, named } = lastRecord();
    expect(String(kept).length).toBeLessThan(250);
    expect(kept).not.toContain('\u001b');
    expect(named).toBe('NOT-A-NAME');
  });
});

describe('the credentials of a client', () => {
  const add = async (name: string) => {
    const wanted = { allow: ['files'], modes: ['token' as const], admin: false, expiresAt: null };
    return (await broker.agents.add({ name, ...wanted })).key;
  };

  it('are name and key of one agent', async () => {
    const clientSecret = await add('docs-bot');
    const caller = await broker.agents.authenticateClient({ clientId: 'docs-bot', clientSecret });
    expect(caller).toMatchObject({ kind: 'agent', agent: { name: 'docs-bot' } });
  });

  it('are refused alike for another name, a wrong key and a revoked one', async () => {
    const clientSecret = await add('docs-bot');
    const revoked = await add('old-bot');
    await broker.agents.revoke('old-bot');
    const errors = await Promise.all(
      [
        { clientId: 'old-bot', clientSecret },
        { clientId: 'DOCS-BOT', clientSecret },
        { clientId: '', clientSecret },
        { clientId: 'docs-bot', clientSecret: new Secret('mtb_wrong') },
        { clientId: 'old-bot', clientSecret: revoked },
      ].map((client) => broker.agents.authenticateClient(client).catch((error: unknown) => error)),
    );
    for (const error of errors) expect(error).toMatchObject({ code: 'unauthenticated' });
    expect(new Set(errors.map((error) => (error as BrokerError).message)).size).toBe(1);
    expect(new Set(errors.map((error) => (error as BrokerError).hint)).size).toBe(1);
  });

  it('of a known key under another name are on disk', async () => {
    const clientSecret = await add('docs-bot');
    await broker.agents.authenticateClient({ clientId: 'old\nbot', clientSecret }).catch(() => undefined);
    expect(lastRecord()).toMatchObject({
      actor: 'agent:docs-bot',
      action: 'authenticate',
      outcome: 'unauthenticated',
      client_id: 'old bot',
    });
  });
});

describe('a connection that is made from an identity', () => {
  it('is found by the resource it is for, although it has no row of its own', async () => {
    const url = 'https://internal.example.com/mcp';
    await broker.addIdentity({ name: 'internal', url, source: 'notes', mode: 'forward' });
    const caller = await agent(['internal@*']);
    expect(await connectionFor(caller, { resources: [url] })).toBe('internal@alice');
    const both = await broker.agents.add({
      ...{ name: 'both', allow: ['internal', 'internal@*'], modes: ['token'], admin: false },
      ...{ expiresAt: null, allowUnknown: true },
    });
    const ambiguous: Caller = { kind: 'agent', agent: await broker.agents.authenticate(both.key) };
    expect((await refusalOf(ambiguous, { resources: [url] })).hint).toMatch(/internal .+, internal@alice /);
  });
});
