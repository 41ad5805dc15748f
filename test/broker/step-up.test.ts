import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import { signIn } from '../support/sign-in.ts';
import { connectionRow, rowsOf } from '../support/vault-file.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld({ authorizationServer: withMachines() });
  broker = await world.openBroker();
  world.authorizationServer.allowResource(world.mcp.url, 'mcp:all mcp:write');
});

afterEach(() => world.close());

const refusal = { status: 403, wwwAuthenticate: 'Bearer error="insufficient_scope", scope="mcp:write"' };

interface Record {
  actor: string;
  outcome: string;
  detail: string;
}
const records = () =>
  rowsOf<Record>(world.vaultPath, "SELECT actor, outcome, detail FROM audit WHERE action = 'step_up'");

async function agent(allow: string): Promise<Caller> {
  const wanted = {
    name: 'bot',
    allow: [allow],
    modes: ['gateway' as const],
    admin: false,
    expiresAt: null,
    allowUnknown: true,
  };
  const { key } = await broker.agents.add(wanted);
  return { kind: 'agent', agent: await broker.agents.authenticate(key) };
}

describe('a login whose rights do not suffice', () => {
  beforeEach(() => signIn(broker, world.authorizationServer, world.mcp.url, { scopes: ['mcp:all'] }));

  it('is told what to ask for, by a command that works', async () => {
    const step = await broker.stepUp(OPERATOR, 'demo', refusal);
    expect(step).toEqual({
      scopes: ['mcp:all', 'mcp:write'],
      nextStep: "broker login demo --scope 'mcp:all mcp:write'",
    });
    await signIn(broker, world.authorizationServer, 'demo', { name: undefined, scopes: step?.scopes });
    expect(connectionRow(world.vaultPath)).toMatchObject({ scope: 'mcp:all mcp:write' });
    expect(await broker.stepUp(OPERATOR, 'demo', refusal)).toBeUndefined();
  });

  it('is on record with who saw it, what was granted and what is wanted', async () => {
    await broker.stepUp(await agent('demo'), 'demo', refusal);
    expect(records().map(({ detail, ...rest }) => ({ ...rest, detail: JSON.parse(detail) }))).toEqual([
      {
        actor: 'agent:bot',
        outcome: 'login_needed',
        detail: { generation: 1, granted: 'mcp:all', wanted: 'mcp:all mcp:write' },
      },
    ]);
  });

  it('is on record only when something is to be done, and spends nothing', async () => {
    const { length } = world.authorizationServer.requests;
    await broker.stepUp(OPERATOR, 'demo', { status: 403 });
    await broker.stepUp(OPERATOR, 'demo', { status: 401, wwwAuthenticate: 'Bearer error="invalid_token"' });
    expect(records()).toEqual([]);
    await broker.stepUp(OPERATOR, 'demo', refusal);
    expect(world.authorizationServer.requests).toHaveLength(length);
    expect(connectionRow(world.vaultPath)).toMatchObject({ state: 'ok', generation: 1 });
  });

  it('is not told to an agent that may not see it, nor for one that is not there', async () => {
    const stranger = await agent('other');
    await expect(broker.stepUp(stranger, 'demo', refusal)).rejects.toMatchObject({ code: 'not_found' });
    await expect(broker.stepUp(OPERATOR, 'nothing', refusal)).rejects.toMatchObject({ code: 'not_found' });
    expect(records()).toEqual([]);
  });
});

describe('a connection without a person whose rights do not suffice', () => {
  it('is added once more, and nobody is sent to sign in', async () => {
    await broker.add(byPost(world.mcp.url, { scopes: ['mcp:all'] }));
    const step = await broker.stepUp(OPERATOR, 'demo', refusal);
    expect(step?.nextStep).toBe("broker add demo … --scope 'mcp:all mcp:write'");
    await broker.add(byPost(world.mcp.url, { scopes: step?.scopes }));
    expect(connectionRow(world.vaultPath)).toMatchObject({ scope: 'mcp:all mcp:write' });
  });
});
