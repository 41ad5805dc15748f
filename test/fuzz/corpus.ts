/**
 * Named inputs of the kind that real and hostile servers send, with what must come of them. Found counterexamples
 * are put into the file of their kind, and so stay found.
 */
import { readFileSync } from 'node:fs';

/** Text in pieces, each as it is or repeated, because deep or long texts would not be read by anybody. */
export type Pieces = string | (string | [text: string, times: number])[];

/** The cases of one file in `test/fuzz/corpus`. */
export function readCorpus<Case extends { name: string }>(file: string): Case[] {
  return JSON.parse(readFileSync(new URL(`corpus/${file}`, import.meta.url), 'utf8')) as Case[];
}

export function join(pieces: Pieces): string {
  if (typeof pieces === 'string') return pieces;
  return pieces.map((piece) => (typeof piece === 'string' ? piece : piece[0].repeat(piece[1]))).join('');
}

/** No control, bidi or line characters: nothing that moves a cursor, forges a line or turns text around. */
export const HARMLESS = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u;
