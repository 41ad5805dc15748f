import { Command } from 'commander';
import type { ConnectionView } from '../../broker/connections.ts';
import { OPERATOR } from '../../broker/context.ts';
import { asOperator, openSession } from '../session.ts';
import { paint, relative, result, resultJson, say, table } from '../terminal.ts';

/** `broker list`: what is connected. */
export function listCommand(): Command {
  return new Command('list')
    .description('what is connected, and how it is doing')
    .addHelpText('after', '\nExamples:\n  broker list\n  broker list --json')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: boolean }, command: Command) => {
      const connections = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.list(OPERATOR),
      );
      if (json) return resultJson(connections);
      if (connections.length === 0)
        return say('nothing is connected yet; begin with: broker login <url>, or broker add');
      result(table(['NAME', 'STATE', 'TOKEN ENDS', 'RENEWED', 'ACCOUNT', 'SCOPE'], connections.map(row)));
    });
}

function row(connection: ConnectionView): string[] {
  const now = Date.now();
  return [
    connection.name,
    paintState(connection.state),
    connection.kind === 'none'
      ? ''
      : connection.expires_at === undefined
        ? 'unknown'
        : relative(connection.expires_at, now),
    renewed(connection),
    connection.account ?? '',
    connection.scope ?? '',
  ];
}

/** By whom a newer token comes. */
function renewed({ kind, refresh_token, grant }: ConnectionView): string {
  if (kind === 'none') return '';
  if (kind === 'bearer' || kind === 'headers') return 'by you';
  return refresh_token || grant ? 'by the broker' : 'no';
}

/** The state in the colour of its urgency. */
export function paintState(state: string): string {
  if (state === 'ok') return paint('green', state);
  return paint(state === 'degraded' || state === 'uncertain' ? 'yellow' : 'red', state);
}
