/** Counting refreshes, by what came of them. */
import type { Verdict } from '../core/verdict.ts';
import type { RefreshParts } from './context.ts';

/** @param since when the server was asked, epoch ms */
export function countRefresh(
  { metrics, clock }: Pick<RefreshParts, 'metrics' | 'clock'>,
  connection: string,
  verdict: Verdict,
  since: number,
): void {
  const code = verdict.verdict === 'success' ? undefined : verdict.code;
  metrics.refreshed(connection, verdict.verdict, code, Math.max(0, clock.now() - since));
}
