/** The commands that texts of the source name, such as `broker login coda` in a hint. */
import { buildProgram } from '../../../src/cli/main.ts';
import { PLACEHOLDER } from './words.ts';

const NAMES = buildProgram().commands.map((command) => command.name());

/** Where something introduces a command: the begin of a line, a mark, such a word. There a misspelt one is found too. */
const INTRODUCED =
  '(?:^|\n|: |→ |; |\\(|, |\\| |\\b(?:with|run|then|by|or|and|needs|again|see|as|before|while) )';
const PROSE = 'is|has|was|will|must|cannot|for';
const COMMAND = new RegExp(
  `(?:${INTRODUCED}broker (?!(?:${PROSE})\\b)|\\bbroker (?=(?:${NAMES.join('|')})\\b))([a-z][^\n]*)`,
  'g',
);

/** The words behind each `broker` in the texts of some code. */
export function commandsNamedIn(code: string): string[][] {
  return textsOf(code).flatMap((text) =>
    [...text.replaceAll(/\n +/g, '\n').matchAll(COMMAND)].map(([, rest = '']) => wordsOf(rest)),
  );
}

/** String literals, with `…` in the place of what is put into templates. */
function textsOf(code: string): string[] {
  const texts: string[] = [];
  const literal = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g;
  for (const [, single, double, template] of emptied(code).matchAll(literal))
    texts.push((single ?? double ?? template ?? '').replaceAll('\\n', '\n').replaceAll("\\'", "'"));
  return texts;
}

/** Code with what is put into templates replaced, from the innermost out. */
function emptied(code: string): string {
  let text = code;
  for (;;) {
    const next = text.replace(/\$\{[^{}]*\}/g, PLACEHOLDER);
    if (next === text) return text;
    text = next;
  }
}

/** Up to where the sentence goes on: a mark, two spaces, a bracket that closes. */
function wordsOf(rest: string): string[] {
  const [command = ''] = rest.split(/\s{2,}|[;:)](?:\s|$)|, |\. | \(| [|>&]|`/);
  return command
    .replace(/<[^<>]*>|'[^']*'|"[^"]*"/g, PLACEHOLDER)
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/^['"]|['",.)]+$/g, ''))
    .filter(Boolean);
}
