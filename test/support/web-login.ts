/** Logins whose answer the daemon takes, as an agent, a browser and a bystander see them. */

import type { Caller } from '../../src/broker/context.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { BegunLoginView, WebLoginRequest } from '../../src/broker/web-login.ts';
import type { CallbackAnswer } from '../../src/broker/web-login-finish.ts';
import type { Agent } from '../../src/core/access-policy.ts';

import { changeVault } from './leases.ts';
import { rowsOf } from './vault-file.ts';

/** Where browsers come back in tests that need no socket for it. */
export const CALLBACK = 'https://broker.example.com/oauth/callback';

/** A caller with the admin right and these patterns. */
export async function adminAgent(broker: Broker, allow = ['demo', 'demo@*'], admin = true): Promise<Caller> {
  const name = `host-${(await broker.agents.list()).length}`;
  const { key } = await broker.agents.add({
    name,
    allow,
    modes: ['token'],
    admin,
    expiresAt: null,
    allowUnknown: true,
  });
  const agent: Agent = await broker.agents.authenticate(key);
  return { kind: 'agent', agent };
}

/** Begins a login of `demo`, or `demo@account`. */
export function beginWebLogin(
  broker: Broker,
  target: string,
  request: Partial<WebLoginRequest> = {},
  caller: Caller = OPERATOR,
): Promise<BegunLoginView> {
  return broker.webLogins.begin(caller, { target, name: 'demo', redirectUri: CALLBACK, ...request });
}

/** The browser comes back with this address. */
export function comeBack(broker: Broker, redirect: string | URL): Promise<CallbackAnswer> {
  const url = new URL(redirect);
  return broker.webLogins.finish(url.origin + url.pathname, url.searchParams);
}

/** Makes `count` logins that wait out of the one that does. */
export function multiplyLogin(vaultPath: string, count: number): void {
  const columns = rowsOf<{ name: string }>(vaultPath, "SELECT name FROM pragma_table_info('logins')").map(
    ({ name }) => name,
  );
  const values = columns.map((name) => (['id', 'state_digest'].includes(name) ? "'copy-' || value" : name));
  changeVault(
    vaultPath,
    `INSERT INTO logins (${columns.join()}) WITH RECURSIVE copies (value) AS
       (SELECT 1 UNION ALL SELECT value + 1 FROM copies WHERE value < ?) SELECT ${values.join()} FROM copies, logins`,
    count - 1,
  );
}
