/** An entry of the audit trail as one line for people. What came from outside cannot move the cursor or forge a line. */
import type { AuditEntry } from '../../broker/audit-entries.ts';
import { printable } from '../../errors.ts';
import { paint } from '../terminal.ts';

/** Widths that most values keep to, so that columns stand under each other. */
const WIDTHS = { actor: 16, action: 12, connection: 14 };

/** `2026-11-01T08:30:00Z  agent:crm  token  notion@alice  ok  generation=7` */
export function entryLine(entry: AuditEntry): string {
  const { actor, action, connection = '-', outcome, detail } = entry;
  return [
    printable(entry.at.replace(/\.\d{3}Z$/, 'Z')),
    printable(actor).padEnd(WIDTHS.actor),
    printable(action).padEnd(WIDTHS.action),
    printable(connection).padEnd(WIDTHS.connection),
    paint(outcome === 'ok' ? 'green' : 'yellow', printable(outcome)),
    ...Object.entries(detail).map(([key, value]) => `${word(key)}=${word(value)}`),
  ].join('  ');
}

/** In quotes where it could be taken for something else; JSON in those it does not use itself. */
function word(value: unknown): string {
  const text = printable(typeof value === 'string' ? value : JSON.stringify(value));
  if (typeof value !== 'string' || /^[^\s"'=]+$/.test(text)) return text;
  return text.includes("'") ? JSON.stringify(text) : `'${text}'`;
}
