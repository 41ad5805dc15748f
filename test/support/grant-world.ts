/**
 * A company with users (an OpenID provider that exchanges ID tokens for grants), and a server whose own authorization
 * server takes these grants: enterprise-managed authorization, ID-JAG.
 */
import { afterEach, beforeEach } from 'vitest';
import type { IdentityServerView } from '../../src/broker/add-identity.ts';
import type { Broker } from '../../src/broker/index.ts';
import { Secret } from '../../src/secret.ts';
import type { AuthorizationServerOptions } from './authorization-server.ts';
import { granted, type MachineServer, startMachineServer } from './machine-server.ts';
import type { RawAnswer } from './raw-server.ts';
import { type SignIn, type SignInOptions, signIn } from './sign-in.ts';
import { startTokenExchange, type TokenExchange } from './token-exchange.ts';
import { startWorld, type World } from './world.ts';

const PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';

/** What our client shows to the server's own authorization server. */
export const SECRET_AT_SERVER = 'fake-secret-at-the-server';

export interface GrantWorld {
  world(): World;
  broker(): Broker;
  /** The company's exchange. */
  exchange(): TokenExchange;
  /** The server, and its own authorization server, which gives `fake-access-of-PERSON-N` for a grant. */
  server(): MachineServer;
  /** Starts the company, where alice signs in. */
  start(options?: AuthorizationServerOptions): Promise<void>;
  /** Signs in as `corp@account`; the person is of that name too, unless told otherwise. */
  login(account: string, options?: SignInOptions): Promise<SignIn>;
  /** Adds the server as `internal`, exchanged, as our client there. */
  add(changes?: object): Promise<IdentityServerView>;
}

/** A refusal in OAuth's words. */
export const refusal = (error: string): RawAnswer => ({ status: 400, body: { error } });

/** For one test file. Each test has servers of its own, started before and closed after it. */
export function openGrantWorld(): GrantWorld {
  let world: World;
  let broker: Broker;
  let exchange: TokenExchange;
  let server: MachineServer;

  beforeEach(async () => {
    exchange = await startTokenExchange();
    server = await startMachineServer({
      authorization_endpoint: undefined,
      authorization_grant_profiles_supported: [PROFILE],
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    server.answer(({ assertion = '' }) => {
      const owner = exchange.ownerOf(assertion);
      return owner ? granted(`of-${owner}-${server.asked.length}`) : refusal('invalid_grant');
    });
  });

  afterEach(async () => {
    await world.close();
    await server.close();
    await exchange.close();
  });

  const login = (account: string, options: SignInOptions = {}) =>
    signIn(broker, world.authorizationServer, world.authorizationServer.issuer, {
      ...{ name: 'corp', account, person: account, ...options },
    });

  return {
    world: () => world,
    broker: () => broker,
    exchange: () => exchange,
    server: () => server,
    login,
    async start(options = {}) {
      world = await startWorld({
        authorizationServer: {
          alwaysIssueRefreshToken: true,
          metadata: (document) => ({ ...document, token_endpoint: exchange.url }),
          ...options,
        },
      });
      exchange.serve(world.authorizationServer);
      broker = await world.openBroker();
      await login('alice');
    },
    add: (changes = {}) =>
      broker.addIdentity({
        ...{ name: 'internal', url: server.mcp, source: 'corp', mode: 'exchange' },
        ...{ clientId: 'at-the-server', clientSecret: new Secret(SECRET_AT_SERVER), ...changes },
      }),
  };
}
