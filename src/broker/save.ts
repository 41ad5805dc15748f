/**
 * Saving a token pair the server has already answered. It exists nowhere else, so a vault that cannot write at
 * this moment must not cost it.
 */
import { BrokerError } from '../errors.ts';
import type { Context } from './context.ts';

/** How long a pair is held in memory while it cannot be saved, and the pause between tries. */
const SAVE_DEADLINE_MS = 10_000;
const SAVE_RETRY_MS = 200;

/** Tries until the vault has it. Throws `save_failed` after 10 s. */
export async function saveUntilDone<T>(
  { clock, log }: Pick<Context, 'clock' | 'log'>,
  connection: string,
  save: () => Promise<T>,
): Promise<T> {
  const deadline = clock.now() + SAVE_DEADLINE_MS;
  for (;;) {
    try {
      return await save();
    } catch (error) {
      log.error({ err: error, connection }, 'a new token could not be saved yet');
      if (clock.now() >= deadline) {
        throw new BrokerError('save_failed', `the new token of ${connection} could not be saved`, {
          hint: 'check free space and permissions of the vault, then run: broker check',
          connection,
          cause: error,
        });
      }
      await clock.wait(SAVE_RETRY_MS);
    }
  }
}
