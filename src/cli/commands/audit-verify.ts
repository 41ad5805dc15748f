import { Command } from 'commander';
import type { AuditVerificationView } from '../../broker/audit-verify.ts';
import { printable } from '../../errors.ts';
import { wholeNumber } from '../arguments.ts';
import { asOperator, openSession } from '../session.ts';
import { showProgress } from '../status-line.ts';
import { paint, result, resultJson, say } from '../terminal.ts';
import { note, refuseFilters } from './audit-options.ts';

interface VerifyOptions {
  expect?: { sequence: number; digest: string };
  atLeast?: number;
  json?: boolean;
}

const EXIT_NOT_INTACT = 2;

/** `broker audit verify`: whether anybody changed the audit trail. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'whether the audit trail is as it was written: nothing edited, removed, moved, added or cut off',
    )
    .option('--expect <note>', 'that it still holds what an earlier verify printed to be noted', note)
    .option('--at-least <rows>', 'that so many rows were written, those removed since included', wholeNumber)
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (_options: unknown, command: Command) => {
      refuseFilters(command);
      const { expect, atLeast, json } = command.optsWithGlobals<VerifyOptions>();
      const found = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.audit.verify({
          noted: expect,
          atLeast,
          onProgress: (done, total) => showProgress(done, total, 'rows'),
        }),
      );
      if (json) resultJson(found);
      else tell(found);
      if (!found.intact) process.exitCode = EXIT_NOT_INTACT;
    });
}

const EXAMPLES = `
Exit codes: 0 intact, 2 not.
An old copy of the whole vault is consistent in itself. To find that out too, keep the printed note elsewhere.

Examples:
  broker audit verify
  broker audit verify --expect 1234:0123456789abcdef`;

function tell(found: AuditVerificationView): void {
  const { intact, rows, first_at, last_at, removed, faults, fault_count } = found;
  const word = intact ? paint('green', 'intact') : paint('red', 'not intact');
  const span = first_at === undefined ? '' : `, from ${printable(first_at)} to ${printable(last_at ?? '')}`;
  result(`${word}: ${rows} ${rows === 1 ? 'row' : 'rows'}${span}`);
  if (removed)
    result(
      `  rows up to ${removed.until} were removed by retention: ${removed.rows}, the last time at ${removed.last_removed_at}`,
    );
  for (const { message, at, writer } of faults) {
    const facts = [
      ...(at === undefined ? [] : [`time ${printable(at)}`]),
      ...(writer === undefined ? [] : [`writer ${printable(writer)}`]),
    ];
    result(`  ${message}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`);
  }
  if (fault_count > faults.length) result(`  and ${fault_count - faults.length} more places`);
  if (found.noted_row_removed)
    say('the row that was noted has been removed by retention: nothing was compared with it');
  if (found.note !== undefined) {
    result(`  note: ${found.note}`);
    say(
      'kept elsewhere, it shows later whether an old state was put back: broker audit verify --expect <note>',
    );
  } else {
    say('nothing was changed now; keep a copy of the vault for whoever looks into it');
  }
}
