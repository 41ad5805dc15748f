/**
 * Saving a token pair the server has already answered. It exists nowhere else, so a vault that cannot write at
 * this moment must not cost it: it is held in memory and tried again, and after a while put aside in a sealed
 * file as well. Meanwhile nothing else refreshes this connection.
 */
import { BrokerError } from '../errors.ts';
import type { Context, UnsavedPair } from './context.ts';

/** How long a failing save is only tried again, before the pair is also put aside. */
const PATIENCE_MS = 10_000;

/** Pauses between tries, before and after that. */
const FIRST_PAUSE_MS = 200;
const LATER_PAUSE_MS = 5_000;

type Parts = Pick<Context, 'clock' | 'log' | 'rescue' | 'unsaved' | 'lifetime'>;

/**
 * Tries until the vault has it. A resident process never gives up; `onStuck` then lets its callers go. Any other
 * process, and one that is told to stop, throws `save_failed` once the pair is put aside.
 */
export async function saveUntilDone<T>(
  parts: Parts,
  pair: UnsavedPair,
  save: () => Promise<T>,
  onStuck: (error: BrokerError) => void = () => {},
): Promise<T> {
  const { clock, log, rescue, unsaved, lifetime } = parts;
  // Counted, not read from the clock, which may be set meanwhile.
  let waitedMs = 0;
  let asidePath: string | undefined;
  let isStuck = false;
  for (;;) {
    try {
      const saved = await save();
      if (asidePath !== undefined) rescue.remove(asidePath);
      unsaved.delete(pair.connectionId);
      return saved;
    } catch (error) {
      if (waitedMs === 0)
        log.error({ err: error, connection: pair.connection }, 'a new token could not be saved yet');
      const isStopping = lifetime.stopping.aborted;
      if (!isStuck && (isStopping || waitedMs >= PATIENCE_MS)) {
        isStuck = true;
        unsaved.add(pair.connectionId);
        asidePath = await rescue.write(pair);
        onStuck(saveFailed(pair, asidePath, error));
      }
      if (isStuck && (isStopping || !lifetime.isResident)) throw saveFailed(pair, asidePath, error);
    }
    const pauseMs = isStuck ? LATER_PAUSE_MS : FIRST_PAUSE_MS;
    await clock.wait(pauseMs, lifetime.stopping).catch(() => {});
    waitedMs += pauseMs;
  }
}

function saveFailed({ connection }: UnsavedPair, asidePath: string | undefined, cause: unknown): BrokerError {
  const where =
    asidePath === undefined
      ? 'it could be put aside nowhere either'
      : `it is put aside in ${asidePath} (sealed), and taken in by the next command that opens the vault`;
  return new BrokerError('save_failed', `the new token of ${connection} could not be saved`, {
    hint: `check free space and permissions of the vault, then run: broker check\n${where}`,
    connection,
    cause,
  });
}
