import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { asOperator, openSession } from '../session.ts';
import { showProgress } from '../status-line.ts';
import { result, resultJson } from '../terminal.ts';
import { age, refuseFilters } from './audit-options.ts';

/** `broker audit prune`: removes old rows, where no daemon does. */
export function pruneCommand(): Command {
  return new Command('prune')
    .description(
      'remove old rows of the audit trail, in a way that verify knows; the daemon does it by itself',
    )
    .option('--older-than <duration>', 'such as 90d', age)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExample, monthly by cron where no daemon runs:\n  broker audit prune --older-than 400d',
    )
    .action(async (_options: unknown, command: Command) => {
      refuseFilters(command);
      const { olderThan, json } = command.optsWithGlobals<{ olderThan?: number; json?: boolean }>();
      if (olderThan === undefined) {
        throw new BrokerError('usage', 'how old is too old was not said', {
          hint: 'such as: broker audit prune --older-than 400d',
        });
      }
      const pruned = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.audit.prune(olderThan, (done) => showProgress(done, undefined, 'rows')),
      );
      if (json) return resultJson(pruned);
      const { rows, before, journal_rows } = pruned;
      const journal = journal_rows === 0 ? '' : `, and ${journal_rows} of the journal of refreshes`;
      result(`${rows} ${rows === 1 ? 'row' : 'rows'} from before ${before} removed${journal}`);
    });
}
