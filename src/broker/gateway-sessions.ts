/**
 * Sessions of MCP servers, each the agent's who opened it. Another agent that learns the id gets the answer of a session
 * that has ended.
 */
import type { Agent } from '../core/access-policy.ts';
import { deleteSession, saveSession, useSession } from '../vault/sessions.ts';
import type { Context } from './context.ts';

export interface GatewaySessions {
  /** Remembers that the agent opened it. False when it is another's. */
  opened(agent: Agent, connection: string, sessionId: string): Promise<boolean>;
  /** Whether the agent opened it. */
  isOf(agent: Agent, connection: string, sessionId: string): Promise<boolean>;
  /** Forgets it. */
  ended(connection: string, sessionId: string): Promise<void>;
}

/** How long the answer to "whose is it" is believed without asking the vault; another process may have ended it. */
const BELIEVED_MS = 60_000;

/** More are asked for each time. */
const MOST_REMEMBERED = 10_000;

/** The sessions of one process. */
export function createGatewaySessions({ vault, clock }: Pick<Context, 'vault' | 'clock'>): GatewaySessions {
  const owners = new Map<string, { owner: string; until: number }>();

  function remember(connection: string, sessionId: string, agent: Agent): void {
    if (owners.size >= MOST_REMEMBERED) owners.clear();
    owners.set(keyOf(connection, sessionId), { owner: ownerOf(agent), until: clock.now() + BELIEVED_MS });
  }

  return {
    async opened(agent, connection, sessionId) {
      const key = { connection, sessionId };
      const isIts = await vault.transaction(() => saveSession(key, agent.name, clock.now()));
      if (isIts) remember(connection, sessionId, agent);
      return isIts;
    },
    async isOf(agent, connection, sessionId) {
      const known = owners.get(keyOf(connection, sessionId));
      if (known && known.until > clock.now()) return known.owner === ownerOf(agent);
      const owner = await vault.run(() => useSession({ connection, sessionId }, clock.now()));
      if (owner !== agent.name) return false;
      remember(connection, sessionId, agent);
      return true;
    },
    async ended(connection, sessionId) {
      owners.delete(keyOf(connection, sessionId));
      await vault.run(() => deleteSession({ connection, sessionId }));
    },
  };
}

function keyOf(connection: string, sessionId: string): string {
  return `${connection} ${sessionId}`;
}

/** An agent that was revoked and made anew is another one. */
function ownerOf({ name, createdAt }: Agent): string {
  return `${name} ${createdAt}`;
}
