/**
 * In which manner a server is asked for a refresh, said a second time.
 *
 * A server may refuse how it was asked. Nothing was used up by that, so it is asked once more at once, as often as there
 * is another manner left; the grant stays as it was until the last of them. One that works is the usual one from then on.
 */
import type { Letter, Peer } from '../support/peer-network.ts';

/** What a refresh names beside the token. */
export interface Manner {
  /** RFC 8707 §2.2. */
  namesResource: boolean;
  /** RFC 6749 §6. */
  namesScope: boolean;
}

/** The manner to ask in after a refusal with this error. Undefined: there is none left, or it was not about that. */
export function nextManner(manner: Manner, error: unknown): Manner | undefined {
  const isAboutAny = error === 'invalid_request';
  if (!manner.namesScope && (isAboutAny || error === 'invalid_scope')) return { ...manner, namesScope: true };
  if (manner.namesResource && (isAboutAny || error === 'invalid_target'))
    return { ...manner, namesResource: false };
  return undefined;
}

/** Whether the scope is named as a matter of course. `perhaps`: what was learned may not be on record, or erased again. */
type Habit = 'no' | 'perhaps' | 'yes';

export interface MannerWatch {
  /**
   * The refusal of how this peer asked was written down: it must ask in `manner` next. Who slept meanwhile may have
   * lost the lease, and then must not.
   */
  refused(peer: Peer, manner: Manner, hasSlept: boolean): void;
  /** Whether it is about to ask in another manner, for the reason it had before. */
  isFollowing(peer: Peer): boolean;
  /** A refresh leaves. */
  onSend(letter: Letter): void;
  /** A pair was written down that was asked for in this manner. */
  worked(peer: Peer, manner: Manner): void;
  /** The server may be forgotten, with what was learned of it. */
  mayForget(): void;
  /** To be asked when nothing moves. */
  check(): void;
}

export function watchManners(
  inFlight: ReadonlySet<Letter>,
  object: (what: string) => void,
  count: (what: string) => void,
): MannerWatch {
  /** Who must ask next, and how. */
  const due = new Map<Peer, { manner: Manner; hasSlept: boolean }>();
  const learners = new Set<Peer>();
  let habit: Habit = 'no';

  return {
    refused: (peer, manner, hasSlept) => void due.set(peer, { manner, hasSlept }),
    isFollowing: (peer) => due.has(peer),
    onSend({ peer, manner }) {
      if (!manner) return;
      const must = due.get(peer)?.manner;
      if (must) count('refreshes in another manner');
      due.delete(peer);
      const isNamed = manner.namesScope ? 'yes' : 'no';
      if (!must && habit === 'perhaps') habit = isNamed;
      const usual = { namesResource: true, namesScope: habit === 'yes' };
      const { namesResource, namesScope } = must ?? usual;
      if (manner.namesResource !== namesResource || manner.namesScope !== namesScope)
        object(
          `a refresh is asked for as ${JSON.stringify(manner)}, and must be as ${JSON.stringify(must ?? usual)}`,
        );
    },
    worked(peer, { namesScope }) {
      if (!namesScope || habit === 'yes') return;
      habit = 'perhaps';
      learners.add(peer);
    },
    mayForget() {
      if (habit === 'yes') habit = 'perhaps';
      learners.clear();
    },
    check() {
      for (const { condition } of learners) if (condition === 'awake') habit = 'yes';
      learners.clear();
      for (const [peer, next] of due) {
        if (peer.condition === 'asleep') next.hasSlept = true;
        const isOnTheWay = [...inFlight].some((letter) => letter.peer === peer);
        if (peer.condition === 'asleep' || (peer.condition === 'awake' && isOnTheWay)) continue;
        due.delete(peer);
        if (peer.condition === 'awake' && !next.hasSlept)
          object('how it was asked was refused, and it is not asked in the other manner');
      }
    },
  };
}
