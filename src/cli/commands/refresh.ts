import { Command } from 'commander';
import { OPERATOR } from '../../broker/context.ts';
import { asOperator, openSession } from '../session.ts';
import { relative, resultJson, succeed } from '../terminal.ts';

/** `broker refresh`: refresh now through the one path. */
export function refreshCommand(): Command {
  return new Command('refresh')
    .description('refresh now, whatever the token’s age')
    .addHelpText('after', '\nExamples:\n  broker refresh coda')
    .argument('<connection>')
    .option('--json', 'as JSON')
    .action(async (name: string, { json }: { json?: boolean }, command: Command) => {
      const view = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.refresh(OPERATOR, name),
      );
      if (json) return resultJson(view);
      const ends =
        view.expires_at === undefined
          ? 'nobody knows when it ends'
          : `it ends ${relative(view.expires_at, Date.now())}`;
      succeed(`${name} has a new token; ${ends}`);
    });
}
