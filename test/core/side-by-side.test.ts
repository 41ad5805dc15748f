import { describe, expect, it } from 'vitest';
import { sideBySide } from '../../src/core/side-by-side.ts';

/** Work that ends when it is let go. */
function createWork() {
  const begun: string[] = [];
  const holds = new Map<string, PromiseWithResolvers<string>>();
  return {
    begun,
    end: async (item: string, error?: Error) => {
      if (error) holds.get(item)?.reject(error);
      else holds.get(item)?.resolve(`${item}!`);
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    },
    work(item: string): Promise<string> {
      begun.push(item);
      const hold = Promise.withResolvers<string>();
      holds.set(item, hold);
      return hold.promise;
    },
  };
}

const keyOf = (item: string) => item.split('@')[0] ?? '';

describe('work side by side', () => {
  it('is at most so much at once, and the results keep the order', async () => {
    const { begun, end, work } = createWork();
    const done = sideBySide(['a', 'b', 'c'], { most: 2, keyOf }, work);
    expect(begun).toEqual(['a', 'b']);
    await end('b');
    expect(begun).toEqual(['a', 'b', 'c']);
    await end('c');
    await end('a');
    expect(await done).toEqual(['a!', 'b!', 'c!']);
  });

  it('is never done twice at a time for one key', async () => {
    const { begun, end, work } = createWork();
    const done = sideBySide(['a@1', 'a@2', 'b', 'a@3'], { most: 4, keyOf }, work);
    expect(begun).toEqual(['a@1', 'b']);
    await end('a@1');
    expect(begun).toEqual(['a@1', 'b', 'a@2']);
    await end('b');
    await end('a@2');
    await end('a@3');
    expect(await done).toEqual(['a@1!', 'a@2!', 'b!', 'a@3!']);
  });

  it('begins nothing more after a failure, and waits for what was begun', async () => {
    const { begun, end, work } = createWork();
    let isOver = false;
    const done = sideBySide(['a', 'b', 'c'], { most: 2, keyOf }, work).finally(() => {
      isOver = true;
    });
    done.catch(() => {});
    await end('a', new Error('no'));
    expect([begun, isOver]).toEqual([['a', 'b'], false]);
    await end('b');
    await expect(done).rejects.toThrow('no');
    expect(begun).toEqual(['a', 'b']);
  });

  it('is nothing for nothing', async () => {
    expect(await sideBySide([], { most: 4, keyOf }, createWork().work)).toEqual([]);
  });
});
