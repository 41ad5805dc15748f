/** Logins and refreshes at a server that wants to be asked in another manner, and what was asked of it. */
import { OPERATOR } from '../../src/broker/context.ts';
import type { AuthorizationServerOptions } from './authorization-server.ts';
import type { Fault } from './fault.ts';
import { type LoginWorld, openLoginWorld } from './login-world.ts';
import { rowsOf } from './vault-file.ts';

/** Fields of a token request. */
export type Form = Record<string, string>;

export interface MannerWorld extends Omit<LoginWorld, 'start'> {
  /** A server that stays with the resource of the login, whether a request names it or not. */
  start(options?: AuthorizationServerOptions): Promise<void>;
  refresh(): Promise<unknown>;
  /** Token requests for codes, as `resource`, `scope` and `secret` where they were named. */
  codes(): string[];
  /** The same of refreshes, since `from`. */
  refreshes(from?: number): string[];
  /** Refuses token requests of this kind with `code`, when they look so. Default all. */
  refuse(grantType: string, code: string, isRefused?: (form: Form) => boolean): void;
  /** What is remembered about the server, but for its network. */
  settings(): Record<string, unknown>;
  /** How each client in the vault authenticates. */
  authMethods(): string[];
}

/** For one test file. Each test starts a world of its own, closed after it. */
export function openMannerWorld(): MannerWorld {
  const { start, ...logins } = openLoginWorld();
  const { world, broker } = logins;
  const asked = (grantType: string, from = 0) =>
    world()
      .authorizationServer.requests.filter((request) => request.grantType === grantType)
      .slice(from)
      .map(({ form = {} }) => manner(form));

  return {
    ...logins,
    async start(options) {
      await start({ authorizationServer: { useGrantedResource: true, ...options } });
    },
    refresh: () => broker().refresh(OPERATOR, 'demo'),
    codes: () => asked('authorization_code'),
    refreshes: (from) => asked('refresh_token', from),
    refuse: (grantType, code, isRefused = () => true) =>
      world().authorizationServer.fail((request) =>
        request.grantType === grantType && isRefused(request.form ?? {}) ? refusal(code) : undefined,
      ),
    settings() {
      const [row] = rowsOf<{ settings: string }>(world().vaultPath, 'SELECT settings FROM servers');
      const { network: _, ...others } = JSON.parse(row?.settings ?? '{}');
      return others;
    },
    authMethods: () =>
      rowsOf<{ auth_method: string }>(world().vaultPath, 'SELECT auth_method FROM clients').map(
        ({ auth_method }) => auth_method,
      ),
  };
}

const manner = ({ resource, scope, client_secret }: Form) =>
  [resource && 'resource', scope && 'scope', client_secret && 'secret'].filter(Boolean).join(' ');

/** A refusal with this OAuth error code. */
export const refusal = (code: string, status = 400): Fault => ({ status, body: { error: code } });

export const namesResource = ({ resource }: Form): boolean => resource !== undefined;
