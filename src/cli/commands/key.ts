import { Command } from 'commander';
import type { KeyStatusView, RotationView } from '../../broker/keys.ts';
import { asOperator, openSession } from '../session.ts';
import { paint, result, resultJson, say, succeed, table } from '../terminal.ts';

interface RotateOptions {
  data?: boolean;
  newMasterKeyFile?: string;
  json?: boolean;
}

/** `broker key`: the keys that encrypt the vault. */
export function keyCommand(): Command {
  return new Command('key')
    .description('the keys that encrypt the vault')
    .addHelpText('after', '\nExamples:\n  broker key status\n  broker key rotate --data')
    .addCommand(statusCommand())
    .addCommand(rotateCommand())
    .addCommand(retireCommand());
}

function statusCommand(): Command {
  return new Command('status')
    .description('all keys by their ids, what they are needed for and by whom; never a key itself')
    .addHelpText('after', '\nExamples:\n  broker key status')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: boolean }, command: Command) => {
      const status = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.keys.status(),
      );
      if (json) return resultJson(status);
      result(table(['KEY', 'KIND', 'MADE', 'NEEDED FOR'], rows(status)));
    });
}

function rotateCommand(): Command {
  return new Command('rotate')
    .description('put a new key in the place of an old one; both open the vault until the old one is retired')
    .option('--data', 'make a new data key and seal everything under it (default without other options)')
    .option('--new-master-key-file <file>', 'wrap the data keys under this master key too; made if not there')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Examples:
  broker key rotate                                            a new data key
  broker key rotate --new-master-key-file /etc/broker/new.key  a new master key`,
    )
    .action(async ({ newMasterKeyFile, json, ...options }: RotateOptions, command: Command) => {
      const data = options.data ?? newMasterKeyFile === undefined;
      const rotated = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.keys.rotate({ data, newMasterKeyFile }),
      );
      if (json) return resultJson(rotated);
      tell(rotated, newMasterKeyFile);
    });
}

function retireCommand(): Command {
  return new Command('retire')
    .description('forget an old key; refused while anything or anybody needs it')
    .addHelpText(
      'after',
      '\nExamples:\n  broker key retire 0b54f1c2                  an id as broker key status shows it',
    )
    .argument('<key>', 'its id, as broker key status shows it')
    .action(async (id: string, _options: unknown, command: Command) => {
      await asOperator(openSession(command), { create: false }, (broker) => broker.keys.retire(id));
      succeed(`the key ${id} opens nothing any more`);
    });
}

function rows({ master_keys, data_keys, audit_key }: KeyStatusView): string[][] {
  return [
    ...master_keys.map(({ id, opened_this, processes }) => {
      const users = [
        ...(opened_this ? ['this command'] : []),
        ...processes.map((process) => `process ${process}`),
      ];
      return [id, 'master', '', users.length === 0 ? 'nothing seen here' : users.join(', ')];
    }),
    ...data_keys.map(({ id, created_at, seals_now, values }) => {
      const use = sealedValues(values);
      return [id, 'data', created_at, seals_now ? paint('green', `${use}, and new ones`) : use];
    }),
    [audit_key, 'audit', '', 'the audit trail'],
  ];
}

function tell(rotated: RotationView, file: string | undefined): void {
  if (rotated.new_master_key !== undefined) {
    succeed(`the vault opens with the master key in ${file} too`);
    say('next: start every broker process with that key (or put it in the place of the old file), then');
    say(`  broker --master-key-file ${file} key retire ${rotated.old_master_key}`);
  }
  if (rotated.finished_data_key !== undefined) {
    succeed(`an interrupted rotation is finished: ${sealedValues(rotated.resealed ?? 0)} moved to its key`);
    say('for a newer key still, give the command again');
  }
  if (rotated.data_key !== undefined) {
    succeed(`${sealedValues(rotated.resealed ?? 0)} moved to the new data key ${rotated.data_key}`);
    say('next: broker key status shows the old one, and broker key retire <key> forgets it');
  }
}

function sealedValues(count: number): string {
  return `${count} sealed value${count === 1 ? '' : 's'}`;
}
