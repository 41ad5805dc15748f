import { describe, expect, it } from 'vitest';
import { createLineReader } from '../../src/mcp/lines.ts';

function linesOf(chunks: string[], maxBytes = 100): [string, boolean][] {
  const lines: [string, boolean][] = [];
  const reader = createLineReader(maxBytes, (line, isCut) => lines.push([line, isCut]));
  for (const chunk of chunks) reader.push(Buffer.from(chunk, 'latin1'));
  reader.end();
  return lines;
}

describe('the lines of a program', () => {
  it('are found wherever the pieces end', () => {
    const text = 'one\r\ntwo\n\nthree';
    const wanted = ['one', 'two', '', 'three'].map((line) => [line, false]);
    for (let at = 0; at <= text.length; at += 1)
      expect(linesOf([text.slice(0, at), text.slice(at)])).toEqual(wanted);
    expect(linesOf([...text])).toEqual(wanted);
  });

  it('are UTF-8, also when a piece ends inside a letter', () => {
    expect(linesOf(['\xc3', '\xbcber\n'])).toEqual([['über', false]]);
  });

  it('are cut where they are too long, and the next one is whole again', () => {
    expect(linesOf(['12345', '678\nnext\n'], 5)).toEqual([
      ['12345', true],
      ['next', false],
    ]);
    expect(linesOf(['12345\n'], 5)).toEqual([['12345', false]]);
    expect(linesOf(['123456'], 5)).toEqual([['12345', true]]);
  });
});
