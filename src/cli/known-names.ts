/** Names for completion: of connections, servers and agents from the vault or the daemon, of the rest from our lists. */
import type { ConnectionView } from '../broker/connections.ts';
import { OPERATOR } from '../broker/context.ts';
import { PRESETS } from '../core/presets.ts';
import { RUNTIMES } from '../core/runtimes.ts';
import type { Candidate, LookUp } from './complete.ts';
import { callDaemon } from './daemon-client.ts';
import { asOperator, type Session } from './session.ts';

/** Looks names up by placeholder. What cannot be looked up, because there is no vault or no daemon, is nothing. */
export function knownNames(session: Session): LookUp {
  return async (placeholder) => {
    try {
      return await namesOf(session, placeholder);
    } catch {
      // Whoever presses Tab wants no error in the middle of the line.
      return [];
    }
  };
}

async function namesOf(session: Session, placeholder: string): Promise<Candidate[]> {
  switch (placeholder) {
    case 'connection':
      return (await connections(session)).map(({ name, state }) => ({ word: name, meaning: state }));
    case 'server': {
      const servers = (await connections(session)).map(({ server }) => server);
      return [...new Set(servers)].map((word) => ({ word, meaning: 'server' }));
    }
    case 'agent':
      return asOperator(session, { create: false }, async (broker) =>
        (await broker.agents.list()).map(({ name }) => ({ word: name, meaning: 'agent' })),
      );
    case 'preset':
      return PRESETS.map(({ name, urls }) => ({ word: name, meaning: urls[0] ?? '' }));
    case 'runtime':
      return RUNTIMES.map(({ name, title }) => ({ word: name, meaning: title }));
    default:
      return [];
  }
}

async function connections(session: Session): Promise<ConnectionView[]> {
  const { agentKey, daemonUrl, caFile } = session.settings;
  if (!agentKey) return asOperator(session, { create: false }, (broker) => broker.list(OPERATOR));
  const address = { agentKey, daemonUrl, caFile };
  return (await callDaemon<{ connections: ConnectionView[] }>(address, 'GET', '/v1/connections')).connections;
}
