import { Command } from 'commander';
import type { BackupView } from '../../broker/backups.ts';
import { BrokerError } from '../../errors.ts';
import { positiveNumber } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { result, resultJson, say, succeed } from '../terminal.ts';

interface BackupOptions {
  force?: boolean;
  keep?: number | undefined;
  json?: boolean | undefined;
}

/** `broker backup`: a sealed copy of everything, while all goes on. */
export function backupCommand(): Command {
  return new Command('backup')
    .description('write a sealed copy of the whole vault; the daemon may go on meanwhile')
    .argument('[file]', 'a file, a folder for a dated file, or - for stdout', '.')
    .option('--force', 'replace a backup that is there under that name')
    .option(
      '--keep <number>',
      'of this vault’s backups in the folder, remove all but so many',
      positiveNumber,
    )
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, { force = false, keep, json }: BackupOptions, command: Command) => {
      if (path === '-') requireStream({ force, keep, json });
      const target = path === '-' ? { stream: process.stdout } : { path, force, keep };
      const session = openSession(command);
      const made = await asOperator(session, { create: false }, (broker) => broker.backups.make(target));
      if (json) return resultJson(made);
      if (made.file !== undefined) result(made.file);
      tell(made);
    });
}

const EXAMPLES = `
Only the master key opens it, and the key is not in it: keep a copy of the key in another place.

Examples:
  broker backup                                    broker-<time>.backup in this folder
  broker backup - | ssh elsewhere 'cat > vault.backup'
  broker restore broker-20270131T030000Z.backup    what it is for

Example, nightly by cron, a fortnight of them:
  0 3 * * *  broker backup /var/backups/mcp-token-broker/ --keep 14`;

function requireStream({ force, keep, json }: BackupOptions): void {
  if (force || keep !== undefined || json) {
    throw new BrokerError(
      'usage',
      'the backup itself goes to stdout: there is no room for --force, --keep or --json',
      {
        hint: 'leave them out, or name a file',
      },
    );
  }
  if (!process.stdout.isTTY) return;
  throw new BrokerError('usage', 'a backup is nothing to be read on a terminal', {
    hint: 'name a file, or pipe it: broker backup - | …',
  });
}

function tell({ file, bytes, sha256, master_key, connections, agents, removed }: BackupView): void {
  const what = `${count(connections, 'connection')} and ${count(agents, 'agent')}`;
  succeed(`${what} are backed up${file === undefined ? '' : ` in ${file}`} (${size(bytes)})`);
  say(`  sha256 ${sha256}`);
  say(`  only the master key ${master_key.id} opens it, which is now in ${master_key.source}`);
  say('  that key is not in the backup: keep a copy of it, in another place than the backup');
  if (removed.length > 0) say(`  removed: ${removed.join(', ')}`);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function size(bytes: number): string {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
