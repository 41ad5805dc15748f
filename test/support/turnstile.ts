/**
 * Lets one thing happen at a time, in an order that is chosen and not left to chance.
 *
 * Whatever comes to a program from outside passes here: an answer, the end of a wait, the result of a cipher that
 * another thread computed. Between two of them only our own code runs, to its end. So an interleaving is a list of
 * choices, and the same choices give the same run.
 */
export interface Turnstile {
  /** Resolves when its turn has come. As long as `mayPass` is false it is passed over. */
  pass(mayPass: () => boolean): Promise<void>;
  /** Work of another thread: no turn comes before it is done. */
  compute<T>(work: Promise<T>): Promise<T>;
  /** Lets `count` pass, or fewer when nothing is left. */
  step(count: number): Promise<void>;
  /** Lets all pass, until nothing moves any more. */
  settle(): Promise<void>;
}

/** Turns of the event loop without any movement after which there will be none: sockets of a listener need two. */
const IDLE_TURNS = 3;

/** @param choose picks one of `count` that may pass, from 0 */
export function createTurnstile(choose: (count: number) => number): Turnstile {
  const waiting = new Set<{ mayPass: () => boolean; go: () => void }>();
  let computing = 0;
  let movements = 0;

  async function untilIdle(): Promise<void> {
    let idle = 0;
    while (idle < IDLE_TURNS) {
      const before = movements;
      await new Promise((resolve) => setImmediate(resolve));
      idle = computing === 0 && movements === before ? idle + 1 : 0;
    }
  }

  async function next(): Promise<boolean> {
    await untilIdle();
    const able = [...waiting].filter(({ mayPass }) => mayPass());
    const chosen = able[choose(able.length)];
    if (!chosen) return false;
    waiting.delete(chosen);
    chosen.go();
    return true;
  }

  return {
    pass(mayPass) {
      movements += 1;
      return new Promise((go) => waiting.add({ mayPass, go }));
    },
    async compute(work) {
      computing += 1;
      try {
        return await work;
      } finally {
        computing -= 1;
        movements += 1;
      }
    },
    async step(count) {
      for (let left = count; left > 0 && (await next()); left -= 1);
      await untilIdle();
    },
    async settle() {
      while (await next());
    },
  };
}

/**
 * Makes the ciphers of whoever `current` names pass the turnstile with their results. The result undoes it.
 *
 * Only the moment of the result is changed: they are the same ciphers.
 */
export function gateCiphers(turnstile: Turnstile, current: () => (() => boolean) | undefined): () => void {
  const subtle = crypto.subtle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const names = ['encrypt', 'decrypt', 'importKey', 'digest'];
  for (const name of names) {
    const original = subtle[name] as (typeof subtle)[string];
    subtle[name] = async (...args) => {
      const mayPass = current();
      try {
        return await turnstile.compute(original.apply(subtle, args));
      } finally {
        if (mayPass && (name === 'encrypt' || name === 'decrypt')) await turnstile.pass(mayPass);
      }
    };
  }
  return () => {
    // What is left is the prototype's own.
    for (const name of names) delete subtle[name];
  };
}
