/** Takes command lines apart: the words of every `broker …` in them, with placeholders allowed. */

/** Stands for whatever the reader puts there: `<name>`, `[name]`, `…`, `F`, `NAME`, `${name}` of a source file. */
export const PLACEHOLDER = '…';

/** Whether a word leaves something to the reader. */
export function isPlaceholder(word: string): boolean {
  return word.includes(PLACEHOLDER) || /^[A-Z]+$/.test(word);
}

/** What ends a simple command, where it stands outside quotes. */
const OPERATORS = /^(?:\|\||&&|[|;&()`\n]|\d?>>?|<)/;

/** The arguments of each `broker` of a line, also of `npx broker` or one behind `sudo -u broker`, without it itself. */
export function brokerCalls(line: string): string[][] {
  return simpleCommands(line).flatMap((command) => {
    const words = withoutRunner(command);
    return isBroker(words[0] ?? '') ? [words.slice(1)] : [];
  });
}

function isBroker(word: string): boolean {
  return word === 'broker' || /^\.?\/.*\/broker$/.test(word);
}

/** Programs that run what is named behind them and their options; which of these take a value. */
const RUNNERS: Record<string, RegExp> = {
  npx: /^--package$/,
  sudo: /^-[ugh]$/,
  env: /^-u$/,
  exec: /^-a$/,
  time: /^-[fo]$/,
  timeout: /^-[ks]$/,
};

/** What a command runs in the end: `broker list` of `sudo -u broker broker list`, or of `docker exec NAME broker list`. */
function withoutRunner(words: string[]): string[] {
  const [first = '', ...rest] = words;
  if (/^(?:docker|podman|kubectl)$/.test(first) && rest.some((word) => /^(?:exec|run)$/.test(word)))
    return rest.slice(Math.max(rest.findLastIndex(isBroker), 0));
  // A crontab of the system names the user first.
  if (first === 'broker' && isBroker(rest[0] ?? '')) return rest;
  const takesValue = RUNNERS[first];
  if (takesValue === undefined) return words;
  let at = first === 'timeout' ? 1 : 0;
  while (/^-|^[A-Z_]+=/.test(rest[at] ?? '')) at += takesValue.test(rest[at] ?? '') ? 2 : 1;
  return withoutRunner(rest.slice(at));
}

/** Splits a line into the commands it is made of, also those within `$(…)`, each as its words with quotes taken off. */
export function simpleCommands(line: string): string[][] {
  const inner: string[][] = [];
  const outer = line.replace(/\$\(([^()]*)\)/g, (_, command: string) => {
    inner.push(...simpleCommands(command));
    return PLACEHOLDER;
  });
  return [...inner, ...splitCommands(outer)];
}

function splitCommands(line: string): string[][] {
  let rest = line.replace(/<[a-zA-Z][^<>\n]*>/g, PLACEHOLDER).replace(/\[[^\]\n]*\](?=\s|$)/g, PLACEHOLDER);
  const commands: string[][] = [[]];
  while (rest !== '') {
    const [operator] = OPERATORS.exec(rest) ?? [];
    const [comment] = /^#[^\n]*/.exec(rest) ?? [];
    const [space] = /^[ \t]+/.exec(rest) ?? [];
    if (operator !== undefined) {
      if (/[<>]/.test(operator)) rest = rest.slice(operator.length).replace(/^\s*\S+/, '');
      else {
        commands.push([]);
        rest = rest.slice(operator.length);
      }
    } else if (comment !== undefined || space !== undefined) {
      rest = rest.slice((comment ?? space ?? '').length);
    } else {
      const [word, taken] = readWord(rest);
      commands.at(-1)?.push(word);
      rest = rest.slice(taken);
    }
  }
  return commands.filter((words) => words.length > 0).map(withoutAssignments);
}

/** A word and how many characters it takes. `a|b` without spaces is one word: alternatives. */
function readWord(text: string): [word: string, taken: number] {
  let word = '';
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const [, single, double] = /^(?:'([^']*)'|"((?:[^"\\]|\\.)*)")/.exec(rest) ?? [];
    if (single !== undefined || double !== undefined) {
      word += single ?? double;
      at += (single ?? double ?? '').length + 2;
    } else if (/^(?:\s|[;&()`<>]|\|(?!\w)|\|\|)/.test(rest)) {
      break;
    } else {
      word += text[at];
      at += 1;
    }
  }
  return [word, Math.max(at, 1)];
}

function withoutAssignments(words: string[]): string[] {
  const first = words.findIndex((word) => !/^[A-Z_]+=/.test(word) && word !== 'export');
  return first === -1 ? [] : words.slice(first);
}
