/** Reads server-sent events (WHATWG HTML §9.2.6) one by one, no faster than whoever takes them. */
import type { Readable } from 'node:stream';
import { EventTooLarge } from './event-filter.ts';

export interface ServerEvent {
  /** Default `message`. */
  type: string;
  data: string;
}

/** The events of a stream with data. Throws `EventTooLarge`. */
export async function* readEvents(source: Readable, maxLength: number): AsyncGenerator<ServerEvent> {
  let type = '';
  let data: string[] = [];
  let size = 0;
  for await (const line of linesOf(source, maxLength)) {
    if (line !== '') {
      const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (field === 'event') type = value;
      if (field === 'data') data.push(value);
      size += line.length;
      if (size > maxLength) throw new EventTooLarge();
      continue;
    }
    if (data.length > 0) yield { type: type || 'message', data: data.join('\n') };
    [type, data, size] = ['', [], 0];
  }
}

/** CR, LF and CRLF each end a line; what is left at the end is none. */
async function* linesOf(source: Readable, maxLength: number): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  const end = /\r\n|\r(?!$)|\n/g;
  let text = '';
  for await (const chunk of source) {
    const looked = Math.max(0, text.length - 1);
    text += decoder.decode(chunk as Buffer, { stream: true });
    let from = 0;
    end.lastIndex = looked;
    for (let match = end.exec(text); match; match = end.exec(text)) {
      yield text.slice(from, match.index);
      from = end.lastIndex;
    }
    text = text.slice(from);
    if (text.length > maxLength) throw new EventTooLarge();
  }
}
