import { Command } from 'commander';
import { type Diagnosis, diagnosisCode, STEPS, type Step, type Verdict } from '../../core/diagnosis.ts';
import { openSession } from '../session.ts';
import { paint, result, resultJson } from '../terminal.ts';

/** `broker doctor`: what is wrong, step by step. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('what is wrong, step by step, and what mends it; changes nothing and spends nothing')
    .argument(
      '[connection|url|preset]',
      'what to examine; a server need not be connected (default: the vault and all connections)',
    )
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (target: string | undefined, { json }: { json?: boolean }, command: Command) => {
      const { settings } = openSession(command);
      const { diagnose } = await import('../../broker/doctor.ts');
      const { askTools } = await import('../../mcp/list-tools.ts');
      const diagnoses = await diagnose({ settings, askTools }, target);
      if (json) resultJson(target !== undefined && diagnoses.length === 1 ? diagnoses[0] : diagnoses);
      else for (const line of lines(diagnoses)) result(line);
      process.exitCode = diagnosisCode(diagnoses);
    });
}

const EXAMPLES = `
Exit codes: 0 fine, 1 attention soon, 75 provider or network down, 2 somebody must act, 3 key or vault.

Examples:
  broker doctor                              the vault, then every connection
  broker doctor coda                         one of them
  broker doctor https://mcp.example.com/mcp  a server before the first login`;

const MARKS: Record<Verdict, () => string> = {
  ok: () => paint('green', '✔'),
  warning: () => paint('yellow', '!'),
  failed: () => paint('red', '✘'),
  skipped: () => paint('dim', '–'),
};

const STEP_WIDTH = Math.max(...STEPS.map((step) => step.length));

/** One block for each; its name stands above only where there are several. */
function lines(diagnoses: Diagnosis[]): string[] {
  return diagnoses.flatMap(({ target, steps }) => [
    ...(diagnoses.length > 1 ? [paint('bold', target)] : []),
    ...steps.flatMap(stepLines),
  ]);
}

function stepLines({ step, verdict, message, remedy }: Step): string[] {
  const indent = ' '.repeat(STEP_WIDTH + 4);
  return [
    `${MARKS[verdict]()} ${step.padEnd(STEP_WIDTH)}  ${message}`,
    ...(remedy?.split('\n').map((line) => `${indent}${paint('dim', '→')} ${line}`) ?? []),
  ];
}
