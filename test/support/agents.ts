import type { NewAgent } from '../../src/broker/agents.ts';
import { rowsOf } from './vault-file.ts';

/** An agent as a test wants it: `docs-bot`, allowed `coda` though nobody signed in there, unless said otherwise. */
export function newAgent(agent: Partial<NewAgent> = {}): NewAgent {
  return {
    name: 'docs-bot',
    allow: ['coda'],
    modes: ['token', 'gateway'],
    admin: false,
    expiresAt: null,
    allowUnknown: true,
    ...agent,
  };
}

/** The newest record of the audit trail, with its facts. */
export function lastRecord(vaultPath: string): {
  actor: string;
  action: string;
  outcome: string;
  detail: unknown;
} {
  const [row] = rowsOf<{ actor: string; action: string; outcome: string; detail: string }>(
    vaultPath,
    'SELECT actor, action, outcome, detail FROM audit ORDER BY at DESC, rowid DESC LIMIT 1',
  );
  if (!row) throw new Error('the audit trail is empty');
  return { ...row, detail: JSON.parse(row.detail) };
}
