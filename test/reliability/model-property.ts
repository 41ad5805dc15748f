/** The property that holds for every interleaving: what happens to the grant is what the model says. */
import fc from 'fast-check';
import { vi } from 'vitest';
import { startPeerWorld } from '../support/peer-world.ts';
import { createActor } from './model-actor.ts';
import { type Command, type Conditions, command, conditions } from './model-commands.ts';
import { type Count, createJudge } from './model-judge.ts';

/** Commands of one interleaving at most. */
const MOST_COMMANDS = 30;

/**
 * Draws so many interleavings and runs each. What happened how often: commands, crashes, refreshes, states. Rejects
 * with the smallest one found that breaks a rule, and the seed and path to run it again.
 *
 * @param seed undefined: another one each time
 */
export async function runInterleavings(
  numRuns: number,
  again: { seed?: number; path?: string } = {},
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const count: Count = (what) => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const interleaving = fc.array(command, { maxLength: MOST_COMMANDS, size: 'max' });
  await fc.assert(
    fc.asyncProperty(conditions, interleaving, (given, commands) => live(given, commands, count)),
    { numRuns, ...again },
  );
  return counts;
}

/** Runs one. Rejects when it breaks a rule. */
export async function live(
  given: Conditions,
  commands: Command[],
  count: Count = () => undefined,
): Promise<void> {
  const { order, hasDaemon, recovery } = given;
  const random = seeded(order);
  // Jitter, and whatever else is left to chance, is the same when it is run again.
  vi.spyOn(Math, 'random').mockImplementation(random);
  const world = await startPeerWorld({
    ...given,
    residents: [hasDaemon, false, false],
    choose: (of) => (order === 0 ? 0 : Math.floor(random() * of)),
  });
  const actor = createActor(world, createJudge(world, recovery, count), recovery, count);
  try {
    count('interleavings');
    await actor.act({ do: 'begin login', at: 0, isNewClient: false });
    await actor.act({ do: 'finish login', steps: undefined });
    for (const each of commands) await actor.act(each);
    await actor.end();
  } finally {
    actor.giveUp();
    await world.close();
    vi.restoreAllMocks();
  }
}

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
