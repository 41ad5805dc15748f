import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readEvents } from '../../src/mcp/read-events.ts';

async function eventsOf(pieces: string[], maxLength = 1000): Promise<string[][]> {
  const events: string[][] = [];
  const source = Readable.from(pieces.map((piece) => Buffer.from(piece)));
  for await (const { type, data } of readEvents(source, maxLength)) events.push([type, data]);
  return events;
}

describe('server-sent events (WHATWG HTML §9.2.6)', () => {
  it('are read wherever the pieces end, and whatever ends a line', async () => {
    for (const end of ['\n', '\r', '\r\n']) {
      const lines = [
        ': comment',
        'event: endpoint',
        'data: /messages',
        'id: 1',
        '',
        'data:one',
        'data: two',
        '',
        'data',
      ];
      const text = `${lines.join(end)}${end}${end}`;
      const wanted = [
        ['endpoint', '/messages'],
        ['message', 'one\ntwo'],
        ['message', ''],
      ];
      for (let at = 0; at <= text.length; at += 1)
        expect(
          await eventsOf([text.slice(0, at), text.slice(at)]),
          `${JSON.stringify(end)} at ${at}`,
        ).toEqual(
          // A CR at the very end may be the first half of a line's end.
          end === '\r' ? wanted.slice(0, 2) : wanted,
        );
    }
  });

  it('are none without data, nor when the stream ends before they do', async () => {
    expect(await eventsOf(['event: ping\n\ndata: a\n\ndata: b'])).toEqual([['message', 'a']]);
  });

  it('are bounded', async () => {
    await expect(eventsOf([`data: ${'x'.repeat(2000)}\n\n`])).rejects.toThrow('too large to be looked at');
    await expect(eventsOf(['data: x\n'.repeat(500), '\n'])).rejects.toThrow('too large to be looked at');
  });
});
