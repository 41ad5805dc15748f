/** A vault written by each release opens in this program, and everything in it works. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { schemaOf } from '../../src/broker/schema.ts';
import { freePort } from '../support/free-port.ts';
import { isRefresh } from '../support/gate.ts';
import { answering, HELD, makeReleasedVault, putReleasedVault } from '../support/released-vault.ts';
import { signIn } from '../support/sign-in.ts';
import { rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

const FOLDER = new URL('../fixtures/vaults/', import.meta.url);
const AN_HOUR_MS = 3_600_000;

const read = (path: string) => readFileSync(new URL(path, FOLDER), 'utf8');
const released = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.sql'))
  .sort();

let world: World | undefined;

afterEach(() => world?.close());

describe('a vault', () => {
  it.each([...released, 'made by this program'])('%s opens, and all that is in it works', async (name) => {
    const text = released.includes(name) ? read(name) : await makeReleasedVault();
    world = await startWorld();
    const { authorizationServer, clock, mcp, settings, vaultPath } = world;
    putReleasedVault(world, text);
    const audited = rowsOf(vaultPath, 'SELECT * FROM audit').length;
    const broker = await world.openBroker();
    const { schema, newest, missing } = schemaOf(settings);
    expect([schema, missing]).toEqual([newest, []]);
    expect(audited).toBeGreaterThan(2);

    const states = (await broker.list(OPERATOR)).map((each) => [each.name, each.state]);
    expect(states).toEqual([
      ['demo', 'ok'],
      ['static', 'ok'],
    ]);
    expect((await broker.agents.list()).map((agent) => [agent.name, agent.status])).toEqual([
      ['bot', 'active'],
    ]);
    expect((await broker.token(OPERATOR, 'static')).accessToken.reveal()).toBe(HELD.bearer);
    expect((await broker.token(OPERATOR, 'demo')).accessToken.reveal()).toBe(HELD.accessToken);

    // The server has another memory than that of the release: it is told to know the token.
    authorizationServer.fail(answering('new-access', 'new-refresh'));
    clock.jump(AN_HOUR_MS);
    expect((await broker.token(OPERATOR, 'demo')).accessToken.reveal()).toBe('new-access');
    const shown = authorizationServer.requests.filter(isRefresh).map(({ form }) => form?.refresh_token);
    expect(shown).toEqual([HELD.refreshToken]);

    authorizationServer.fail(undefined);
    await signIn(broker, authorizationServer, mcp.url, { callbackPort: await freePort() });
    await broker.refresh(OPERATOR, 'demo');
    const { accessToken } = await broker.token(OPERATOR, 'demo');
    expect(await authorizationServer.tokenIsActive(accessToken.reveal())).toMatchObject({ active: true });
    expect((await broker.keys.rotate({ data: true })).resealed).toBeGreaterThan(1);
  });
});

describe('the folder of released vaults', () => {
  it('has one of this version as soon as it is released', () => {
    const { version } = JSON.parse(read('../../../package.json')) as { version: string };
    const heading = read('../../../CHANGES.md')
      .split('\n')
      .find((line) => line.startsWith(`## ${version}`));
    expect(heading, `CHANGES.md has no section for ${version}`).toBeDefined();
    const isReleased = !heading?.includes('(unreleased)');
    const has = released.includes(`${version}.sql`);
    expect(has || !isReleased, `run: node test/fixtures/vaults/make.ts (${version} is released)`).toBe(true);
  });
});
