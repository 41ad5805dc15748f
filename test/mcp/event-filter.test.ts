import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventFilter, EventTooLarge } from '../../src/mcp/event-filter.ts';

/** What comes out of the filter when it is fed in these pieces. */
async function filtered(
  pieces: (string | Buffer)[],
  onMessage: (message: unknown) => unknown = (message) => message,
  maxBytes = 10_000,
  whenLarger: 'pass' | 'fail' = 'fail',
): Promise<string> {
  const filter = new EventFilter({ onMessage: async (message) => onMessage(message), maxBytes, whenLarger });
  return (await buffer(Readable.from(pieces.map((piece) => Buffer.from(piece))).pipe(filter))).toString();
}

const shout = (message: unknown) => {
  const { text, ...rest } = message as { text?: string };
  return text === 'low' ? { ...rest, text: 'HIGH' } : message;
};

describe('a stream of events', () => {
  it('passes byte for byte what is not changed, however it is cut and its lines end', async () => {
    const event = fc.record({
      lines: fc.array(
        fc.constantFrom(
          'event: message',
          'id: 7',
          ': ping',
          'data',
          'retry: 10',
          'data: {"a":',
          'data: 1}',
          'x',
          'data:{"é":"✓"}',
        ),
        { minLength: 1, maxLength: 4 },
      ),
      end: fc.constantFrom('\n', '\r\n', '\r'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 5 }),
        fc.array(fc.nat(40), { maxLength: 8 }),
        async (events, cuts) => {
          const whole = Buffer.from(events.map(({ lines, end }) => [...lines, '', ''].join(end)).join(''));
          const pieces: Buffer[] = [];
          let from = 0;
          for (const cut of cuts) {
            pieces.push(whole.subarray(from, from + cut));
            from += cut;
          }
          pieces.push(whole.subarray(from));
          expect(await filtered(pieces)).toBe(whole.toString());
        },
      ),
    );
  });

  it('puts another message in the place of one, and keeps what else the event says', async () => {
    const text = 'id: 1\nevent: message\ndata: {"text":"low"}\n\n: ping\n\ndata: {"text":"other"}\n\n';
    expect(await filtered([text], shout)).toBe(
      'id: 1\nevent: message\ndata: {"text":"HIGH"}\n\n: ping\n\ndata: {"text":"other"}\n\n',
    );
  });

  it.each([
    ['in one line', 'data:{"text":"low"}\n\n'],
    ['in several', 'data: {"text"\ndata: :"low"\ndata: }\n\n'],
    ['between other lines', 'data: {"text":\nid: 4\ndata: "low"}\n\n'],
    ['with carriage returns', 'data: {"text":"low"}\r\r'],
    ['with both', 'data: {"text":"low"}\r\n\r\n'],
  ])('finds the message %s', async (_how, text) => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const out = await filtered([text.slice(0, cut), text.slice(cut)], shout);
      expect(out).toContain('data: {"text":"HIGH"}\n\n');
      expect(out).not.toContain('low');
    }
  });

  it('lets go of an event as soon as it is whole', async () => {
    const filter = new EventFilter({
      onMessage: async (message) => message,
      maxBytes: 1000,
      whenLarger: 'fail',
    });
    const events = filter[Symbol.asyncIterator]();
    const next = async () => String((await events.next()).value);
    filter.write('data: {"a":1}\n\ndata: {"b"');
    expect(await next()).toBe('data: {"a":1}\n\n');
    filter.write(':2}\n\n');
    expect(await next()).toBe('data: {"b":2}\n\n');
  });

  it('drops what is no whole event at the end, as clients do', async () => {
    expect(await filtered(['data: {"a":1}\n\ndata: {"text":"low"}\n'])).toBe('data: {"a":1}\n\n');
  });

  it('fails rather than hold an event without end', async () => {
    const endless = Array.from({ length: 20 }, () => `data: ${'x'.repeat(100)}`);
    await expect(filtered(endless, undefined, 1000)).rejects.toThrow(EventTooLarge);
    await expect(
      filtered(
        endless.map((line) => `${line}\n\n`),
        undefined,
        1000,
      ),
    ).resolves.toHaveLength(20 * 108);
  });

  it('lets pass unseen what is too large to be held, where that is wanted, and looks at the next one', async () => {
    const large = `data: ${'x'.repeat(5000)}low\n\n`;
    const pieces = [large.slice(0, 2000), large.slice(2000), 'data: {"text":"low"}\n\n'];
    expect(await filtered(pieces, shout, 1000, 'pass')).toBe(`${large}data: {"text":"HIGH"}\n\n`);
  });
});
