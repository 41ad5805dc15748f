import { accessSync, constants, createReadStream } from 'node:fs';
import { Command } from 'commander';
import type { RestoreView } from '../../broker/restore.ts';
import { BrokerError, systemCode } from '../../errors.ts';
import { openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { result, resultJson, say, succeed, table, warn } from '../terminal.ts';

interface RestoreOptions {
  force?: boolean;
  json?: boolean;
}

/** `broker restore`: puts a backup in the place of the vault. */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('put a backup in the place of the vault; the daemon must be stopped')
    .argument('<file>', 'a backup, or - for stdin')
    .option('--force', 'also over a vault with data in it, which is kept beside it')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, { force = false, json }: RestoreOptions, command: Command) => {
      requireFile(path);
      const { settings, log } = openSession(command);
      const { restore } = await import('../../broker/restore.ts');
      // It is over in a moment, and whole or not at all: there is nothing to be stopped in the middle.
      const release = onStop(() => say('finishing what was begun'));
      try {
        const restored = await restore(read(path), { settings, log, force });
        if (json) resultJson(restored);
        else tell(restored);
      } finally {
        release();
      }
    });
}

const EXAMPLES = `
It wants the master key the backup was made with: in its usual place, or by --master-key-file.

Examples:
  broker restore broker-20270131T030000Z.backup
  broker restore broker-20270131T030000Z.backup --force      over a vault that is there
  broker --home /tmp/look restore broker-20270131T030000Z.backup   elsewhere, to look into it`;

async function* read(path: string): AsyncGenerator<Buffer> {
  if (path === '-' && process.stdin.isTTY) {
    throw new BrokerError('usage', 'nobody can type a backup', {
      hint: 'name a file, or pipe one: … | broker restore -',
    });
  }
  try {
    yield* path === '-' ? process.stdin : createReadStream(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Before a key is looked for: who mistyped the name of the file should be told of that. */
function requireFile(path: string): void {
  try {
    if (path !== '-') accessSync(path, constants.R_OK);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): BrokerError {
  return new BrokerError('usage', `${path} cannot be read (${systemCode(error)})`, {
    hint: 'name a file that broker backup made, or - for stdin',
    cause: error,
  });
}

function tell({
  vault,
  made_at,
  connections,
  agents,
  uncertain,
  replaced,
  migrated_from,
}: RestoreView): void {
  succeed(`${vault} is as it was on ${made_at}: connections ${connections}, agents ${agents}`);
  if (migrated_from !== undefined) say(`  it was brought up to date from schema ${migrated_from}`);
  if (replaced !== undefined) say(`  the vault before is ${replaced}; delete it when nobody misses it`);
  if (agents > 0)
    warn('agents revoked since then may be back: look at broker agent list, and revoke them again');
  if (uncertain.length === 0) return;
  warn(
    'the refresh tokens of these may have been used since; whether they still work shows at their next refresh',
  );
  const rows = uncertain.map((name) => [name, `broker refresh ${name}`, `broker login ${name}`]);
  result(table(['UNCERTAIN', 'TO FIND OUT NOW', 'IF IT HAS ENDED'], rows));
  say(
    'nothing must be done: their access tokens are served while they live, and broker check tells which have ended',
  );
}
