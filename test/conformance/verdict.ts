/** Whether a run came out as it must. */
import type { Expected } from './scenarios.ts';
import type { Result } from './suite.ts';

/** What is wrong with the result, one line each. Empty: nothing is. */
export function faultsOf(expected: Expected, result: Result): string[] {
  if (expected.kind === 'declines') return faultsOfDeclining(expected.says, result);
  const faults = [...result.complaints];
  if (countPassed(result) === 0) faults.push('nothing was checked');
  if (expected.kind === 'refuses') faults.push(...unsaid(expected.says, result));
  if (faults.length === 0 && result.exitCode !== 0) faults.push(`the suite is not content: ${result.stderr}`);
  return faults;
}

/** Number of checks that the suite found to hold. */
export function countPassed({ checks }: Result): number {
  return checks.filter(({ status }) => status === 'SUCCESS').length;
}

/** Number of checks that the suite decided on. */
export function countDecided(result: Result): number {
  return countPassed(result) + result.complaints.length;
}

function faultsOfDeclining(says: RegExp, result: Result): string[] {
  const faults = unsaid(says, result);
  if (result.exitCode === 0) faults.push('the suite is content: this is done after all');
  for (const id of ['token-request', 'valid-bearer-token'] as const) {
    if (result.checks.some((check) => check.id === id)) faults.push(`there was a ${id}`);
  }
  return faults;
}

/** The suite lets any failure of the client pass for a refusal; we do not. */
function unsaid(says: RegExp, { stderr }: Result): string[] {
  return says.test(stderr) ? [] : [`the client does not say ${says}, but: ${stderr || 'nothing'}`];
}
