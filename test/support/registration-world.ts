/** Logins by clients that register themselves, and what the authorization server was asked about them. */
import type { Broker } from '../../src/broker/index.ts';
import type { AuthorizationServerOptions } from './authorization-server.ts';
import { type LoginWorld, openLoginWorld } from './login-world.ts';
import type { RecordedRequest } from './recorded-request.ts';
import type { World } from './world.ts';

export interface RegistrationWorld extends Omit<LoginWorld, 'start'> {
  start(authorizationServer?: AuthorizationServerOptions): Promise<{ world: World; broker: Broker }>;
  /** Requests about registrations: made, read, renewed or deleted. */
  asked(method: string): RecordedRequest[];
  /** Names under which registrations were asked for. */
  names(): string[];
}

/** For one test file. Each test starts a world of its own, closed after it. */
export function openRegistrationWorld(): RegistrationWorld {
  const { start, ...logins } = openLoginWorld();
  const asked = (method: string) =>
    logins
      .world()
      .authorizationServer.requests.filter((each) => each.method === method && isRegistration(each));
  return {
    ...logins,
    start: (authorizationServer = {}) => start({ authorizationServer }),
    asked,
    names: () => asked('POST').map(({ json }) => (json as { client_name: string }).client_name),
  };
}

export const isRegistration = ({ path }: RecordedRequest): boolean =>
  path === '/reg' || path.startsWith('/reg/');

/** The client that a login was for. */
export const clientId = (signedIn: { authorizationUrl: URL }): string | null =>
  signedIn.authorizationUrl.searchParams.get('client_id');
