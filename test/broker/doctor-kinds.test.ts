/** What a doctor finds of connections that nobody signs in to, and which command it names for each kind. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { StaticCredential } from '../../src/core/entered.ts';
import { Secret } from '../../src/secret.ts';
import { byStep, openPractice, type Visit } from '../support/doctor.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { startInternal } from '../support/identity-world.ts';
import { byPost, withMachines } from '../support/machine-client.ts';
import type { McpTestServer } from '../support/mcp-server.ts';
import { signIn } from '../support/sign-in.ts';
import { startTokenExchange, type TokenExchange } from '../support/token-exchange.ts';

const { world, start, examine, examineOne } = openPractice();

let broker: Broker;

describe('a credential entered by hand', () => {
  let server: HeaderServer;

  beforeEach(async () => {
    await start();
    broker = await world().openBroker();
    server = await startHeaderServer({ authorization: 'Bearer fake-pat' });
  });

  afterEach(() => server.close());

  const enter = (credential: StaticCredential, more: { expiresAt?: number } = {}) =>
    broker.addStatic({ name: 'demo', url: server.url, credential, ...more });
  const bearer = (token: string): StaticCredential => ({ kind: 'bearer', token: new Secret(token) });

  it('that works is fine, in whatever network its server is; nobody looks for a way to sign in', async () => {
    await enter(bearer('fake-pat'));
    const { code, step, verdicts } = await examineOne();
    expect(code).toBe(0);
    expect(verdicts).toMatchObject({ discovery: 'skipped', registration: 'skipped', initialize: 'ok' });
    expect(step('token')?.message).toBe('a token that was entered by hand; its end is not known');
    expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
      new Set(['Bearer fake-pat']),
    );
  });

  it.each<[StaticCredential, RegExp]>([
    [bearer('fake-wrong'), /^broker add demo --bearer-file <file>$/],
    [
      {
        kind: 'headers',
        headers: [{ header: { name: 'X-Key', template: '{{token}}' }, value: new Secret('fake') }],
      },
      /^broker add demo --header <name> --value-file <file>$/,
    ],
    [
      { kind: 'none' },
      /^broker add demo --bearer-file <file>, or --header .+\nto sign in instead: broker logout demo; broker login .+ --name demo$/,
    ],
  ])('that the server refuses is told with the command of its kind (%#)', async (credential, remedy) => {
    await enter(credential);
    const { code, step } = await examineOne();
    expect(code).toBe(2);
    expect(step('initialize')).toMatchObject({ verdict: 'failed', remedy: expect.stringMatching(remedy) });
  });

  it('that has ended is told with the command that enters another', async () => {
    await enter(bearer('fake-pat'), { expiresAt: world().clock.now() + 1000 });
    world().clock.jump(2000);
    const { code, step } = await examineOne();
    expect(code).toBe(2);
    expect(step('token')).toMatchObject({
      verdict: 'failed',
      remedy: 'broker add demo --bearer-file <file>',
    });
    expect(step('initialize')).toMatchObject({ verdict: 'skipped' });
    expect(step('initialize')).not.toHaveProperty('remedy');
  });
});

describe('a machine', () => {
  beforeEach(async () => {
    await start({ authorizationServer: withMachines() });
    broker = await world().openBroker();
    await broker.add(byPost(world().mcp.url));
  });

  it('that works is fine: nobody is redirected to it', async () => {
    const { code, step } = await examineOne();
    expect(step('redirect')).toMatchObject({
      verdict: 'skipped',
      message: 'nobody signs in with this client',
    });
    expect(code).toBe(0);
  });

  it('whose token is refused or has ended asks for another itself', async () => {
    await world()
      .authorizationServer.revokeGrantsOf('by-post')
      .catch(() => undefined);
    world().clock.jump(2 * 3600_000);
    const { step } = await examineOne();
    expect(step('initialize')).toMatchObject({ verdict: 'skipped', remedy: 'broker refresh demo' });
  });
});

describe('identities', () => {
  let exchange: TokenExchange;
  let internal: McpTestServer;

  beforeEach(async () => {
    exchange = await startTokenExchange();
    await start({
      authorizationServer: {
        alwaysIssueRefreshToken: true,
        metadata: (document) => ({ ...document, token_endpoint: exchange.url }),
      },
    });
    const { authorizationServer } = world();
    exchange.serve(authorizationServer);
    internal = await startInternal(authorizationServer, exchange);
    broker = await world().openBroker();
    await signIn(broker, authorizationServer, authorizationServer.issuer, { name: 'corp', account: 'alice' });
  });

  afterEach(async () => {
    await internal.close();
    await exchange.close();
  });

  const add = (mode: 'forward' | 'exchange') =>
    broker.addIdentity({ name: 'internal', url: internal.url, source: 'corp', mode });

  it('are no MCP server to be called', async () => {
    const { code, step } = await examineOne('corp@alice');
    expect(step('initialize')).toMatchObject({
      ...{ verdict: 'skipped', message: 'it tells who somebody is: there is no MCP server to call' },
    });
    expect(code).toBe(0);
  });

  it('make connections that are examined too: forwarded ones with the token of the login', async () => {
    await add('forward');
    const { code, verdicts } = await examineOne('internal@alice');
    expect(verdicts).toMatchObject({ discovery: 'skipped', token: 'ok', initialize: 'ok' });
    expect(code).toBe(0);
    expect((await examine()).map(({ target }) => target)).toEqual(['vault', 'corp@alice', 'internal@alice']);
  });

  it('make exchanged ones, which are examined once there is a token', async () => {
    await add('exchange');
    expect((await examineOne('internal@alice')).step('initialize')).toMatchObject({
      ...{ verdict: 'skipped', remedy: 'broker token internal@alice' },
    });
    expect(exchange.exchanges).toEqual([]);
    await broker.token(OPERATOR, 'internal@alice');
    const visits = new Map<string, Visit>((await examine()).map((each) => [each.target, byStep(each)]));
    expect(visits.get('internal@alice')?.verdicts).toMatchObject({ initialize: 'ok' });
  });
});
