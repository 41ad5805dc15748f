import jsqr from 'jsqr';
import { describe, expect, it } from 'vitest';
import { renderQrCode } from '../../src/cli/qr-code.ts';

const LINK = 'https://as.example.com/device?user_code=WDJB-MJHT';

type Colour = 'black' | 'white' | 'terminal';
interface Screen {
  rows: Colour[][];
  /** Characters in each line. */
  widths: number[];
}

const PALETTE: Record<string, Colour> = { '16': 'black', '231': 'white' };

/** Which of the halves of a character are ink. */
const INK: Record<string, [boolean, boolean]> = {
  ' ': [false, false],
  '▀': [true, false],
  '▄': [false, true],
  '█': [true, true],
};

/** What a terminal shows, two pixels for each character; it knows nothing but what a code may use. */
function show(text: string): Screen {
  const screen: Screen = { rows: [], widths: [] };
  let [ink, paper]: Colour[] = ['terminal', 'terminal'];
  for (const line of text.split('\n')) {
    const upper: Colour[] = [];
    const lower: Colour[] = [];
    for (const [piece, sgr] of line.matchAll(/\p{Cc}\[([\d;]*)m|./gu)) {
      if (sgr === '0') [ink, paper] = ['terminal', 'terminal'];
      else if (sgr !== undefined) {
        const [, front, back] = /^38;5;(\d+);48;5;(\d+)$/.exec(sgr) ?? [];
        [ink, paper] = [PALETTE[front ?? ''], PALETTE[back ?? '']];
      } else {
        const [top, bottom] = INK[piece] ?? [];
        upper.push((top ? ink : paper) as Colour);
        lower.push((bottom ? ink : paper) as Colour);
      }
    }
    screen.rows.push(upper, lower);
    screen.widths.push(upper.length);
  }
  return screen;
}

/** A photograph of a terminal with this background, the code in the middle. */
function photograph({ rows }: Screen, background: 'black' | 'white'): [Uint8ClampedArray, number, number] {
  const scale = 3;
  const frame = 6;
  const width = ((rows[0]?.length ?? 0) + 2 * frame) * scale;
  const height = (rows.length + 2 * frame) * scale;
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const colour = rows[Math.floor(y / scale) - frame]?.[Math.floor(x / scale) - frame] ?? 'terminal';
      const shade = (colour === 'terminal' ? background : colour) === 'black' ? 0 : 255;
      pixels.fill(shade, (y * width + x) * 4, (y * width + x) * 4 + 3);
    }
  }
  return [pixels, width, height];
}

/** As a plain reader does, which does not try swapped colours. */
const read = (text: string, background: 'black' | 'white') =>
  jsqr.default(...photograph(show(text), background), { inversionAttempts: 'dontInvert' })?.data;

describe('a QR code in the terminal', () => {
  it.each(['black', 'white'] as const)('is read by another decoder on a %s background', (background) => {
    expect(read(renderQrCode(LINK) ?? '', background)).toBe(LINK);
  });

  it.each([
    ['a letter', 'x'],
    ['capitals and digits alone', 'HTTPS://AS.EXAMPLE.COM/D/WDJB'],
    ['letters beyond ASCII', 'https://as.example.com/gerät'],
    ['an authorization request', `https://as.example.com/authorize?state=${'a1B2'.repeat(150)}`],
  ])('holds %s', (_, text) => {
    expect(read(renderQrCode(text) ?? '', 'black')).toBe(text);
  });

  it('has a light margin of four modules on each side', () => {
    const { rows } = show(renderQrCode(LINK) ?? '');
    const isLight = (colours: Colour[] = []) => colours.every((colour) => colour === 'white');
    const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] as Colour));
    for (const lines of [rows, columns]) {
      expect([0, 1, 2, 3].map((each) => isLight(lines[each]))).toEqual([true, true, true, true]);
      expect(isLight(lines[4])).toBe(false);
      expect([1, 2, 3, 4].map((each) => isLight(lines.at(-each)))).toEqual([true, true, true, true]);
    }
  });

  it('leaves no colour behind in any line, and nothing beside or below it', () => {
    const text = renderQrCode(LINK) ?? '';
    const lines = text.split('\n');
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expect(line).toMatch(/^\p{Cc}\[[\d;]+m[ ▀▄█]+\p{Cc}\[0m$/u);
    expect(show(text).rows.flat()).not.toContain('terminal');
  });

  it('is not drawn where it would be wider than the terminal', () => {
    const [width = 0] = show(renderQrCode(LINK) ?? '').widths;
    expect(width).toBeGreaterThan(20);
    expect(renderQrCode(LINK, width)).toBe(renderQrCode(LINK));
    expect(renderQrCode(LINK, width - 1)).toBeUndefined();
  });

  it('is not drawn for more than a code can hold', () => {
    expect(renderQrCode('x'.repeat(2953))).toBeDefined();
    expect(renderQrCode('x'.repeat(2954))).toBeUndefined();
    expect(renderQrCode('ä'.repeat(1477))).toBeUndefined();
  });
});
