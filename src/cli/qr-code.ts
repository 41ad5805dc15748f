/** A link as a picture that a phone can read from the terminal. */
import { encode } from 'uqr';

/** The light margin without which readers do not find the code (ISO/IEC 18004 §6.3.8). */
const QUIET_ZONE = 4;

/** Longest text a code can hold, in bytes, at the lowest error correction. */
const MAX_BYTES = 2953;

/**
 * Pure black on pure white, from the part of the palette that themes leave alone: many readers do not know a code
 * whose colours are swapped, and without them it would be swapped on every dark terminal.
 */
const BLACK_ON_WHITE = '\u001b[38;5;16;48;5;231m';
const RESET = '\u001b[0m';

/** By two modules, the upper and the lower: a character is twice as high as it is wide. */
const HALF_BLOCKS = [' ', '▄', '▀', '█'] as const;

/**
 * Draws a QR code with half blocks, in lines that end without a line break. The colours belong to the picture: it is
 * for terminals, not for files.
 *
 * @param columns width of the terminal
 * @returns undefined when the code would be wider, or the text is longer than a code can hold
 */
export function renderQrCode(text: string, columns = Number.POSITIVE_INFINITY): string | undefined {
  if (Buffer.byteLength(text) > MAX_BYTES) return undefined;
  // More error correction where it costs no room.
  const { data, size } = encode(text, { border: QUIET_ZONE, boostEcc: true });
  if (size > columns) return undefined;
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    const upper = data[row] ?? [];
    // Below the last row of an odd number is margin.
    const lower = data[row + 1] ?? [];
    const blocks = upper.map((isDark, column) => HALF_BLOCKS[(isDark ? 2 : 0) + (lower[column] ? 1 : 0)]);
    lines.push(`${BLACK_ON_WHITE}${blocks.join('')}${RESET}`);
  }
  return lines.join('\n');
}
