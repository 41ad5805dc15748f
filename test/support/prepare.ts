/** What a journey needs and does not test, done in this process: each start of the program costs a third of a second. */
import type { NewAgent } from '../../src/broker/agents.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { newAgent } from './agents.ts';
import type { Journey } from './journey.ts';
import { changeVault } from './leases.ts';
import { type SignInOptions, signIn } from './sign-in.ts';

/** Works on the vault of a journey, made when it is not there, and closes it again. */
export async function withBroker<T>(
  { home }: Pick<Journey, 'home'>,
  work: (broker: Broker) => Promise<T>,
): Promise<T> {
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const broker = await openBroker({ settings, log: createLog('silent'), create: true });
  try {
    return await work(broker);
  } finally {
    await broker.close();
  }
}

/** Signs in as the connection `demo`, and makes the agent `docs-bot`, which may use it. Its key. */
export function prepareDemo(
  journey: Journey,
  agent: Partial<NewAgent> = {},
  login: SignInOptions = {},
): Promise<string> {
  return withBroker(journey, async (broker) => {
    await signIn(broker, journey.authorizationServer, journey.mcp.url, login);
    return (await broker.agents.add(newAgent({ allow: ['demo'], ...agent }))).key.reveal();
  });
}

/** Makes the access token of `demo` one that has just ended, as its server sees it and as the vault does. */
export function endAccessToken({ authorizationServer, vaultPath }: Journey): void {
  authorizationServer.revokeAccessTokens();
  changeVault(
    vaultPath,
    "UPDATE connections SET received_at = received_at - 3600000, access_expires_at = ? WHERE name = 'demo'",
    Date.now() - 1000,
  );
}
