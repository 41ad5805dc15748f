import { Command } from 'commander';
import { openSession } from '../session.ts';
import { resultJson, say, succeed } from '../terminal.ts';

interface MigrateOptions {
  check?: boolean;
  json?: boolean;
}

const EXIT_SOMETHING_TO_DO = 1;

/** `broker migrate`: brings the vault to the newest schema. */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('bring the vault to the newest schema, as every start does; needs no key')
    .option('--check', 'only tell: exit 0 when it is up to date, 1 when there is something to do')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async ({ check = false, json }: MigrateOptions, command: Command) => {
      const { settings } = openSession(command);
      const { migrateVault, schemaOf } = await import('../../broker/schema.ts');
      if (check) {
        const found = schemaOf(settings);
        if (json) resultJson(found);
        else tellSchema(settings.database, found);
        if (found.missing.length > 0) process.exitCode = EXIT_SOMETHING_TO_DO;
        return;
      }
      const done = await migrateVault(settings);
      if (json) return resultJson(done);
      if (done.applied.length === 0)
        return succeed(`${settings.database} is up to date (schema ${done.schema})`);
      succeed(`${settings.database} went from schema ${done.from} to ${done.schema}`);
      for (const name of done.applied) say(`  ${name}`);
    });
}

const EXAMPLES = `
There is no way back to an older schema: make a backup first.

Examples:
  broker migrate --check     before an upgrade is finished
  broker backup && broker migrate`;

function tellSchema(
  path: string,
  { schema, newest, missing }: { schema: number; newest: number; missing: string[] },
) {
  if (missing.length === 0) return succeed(`${path} is up to date (schema ${schema})`);
  say(`${path} has schema ${schema}, this broker schema ${newest}; missing:`);
  for (const name of missing) say(`  ${name}`);
  say('it is brought up to date at the next start, or now with: broker migrate');
}
