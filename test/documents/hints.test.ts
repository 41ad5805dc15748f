/** Every command that a hint, a help text or a message of the broker names is one that there is. */
import { describe, expect, test } from 'vitest';
import { commandsNamedIn } from '../support/documented/hints.ts';
import { judge } from '../support/documented/known-commands.ts';
import { readSourceFiles } from '../support/source-files.ts';

const named = readSourceFiles().flatMap(({ path, code }) =>
  commandsNamedIn(code).map((words) => ({ path, words })),
);

describe('the commands that the program names', () => {
  test('exist, with their options', () => {
    expect(named.length).toBeGreaterThan(120);
    const problems = named.flatMap(({ path, words }) => {
      const { problem } = judge(words, { isProse: true });
      return problem === undefined ? [] : [`${path}: broker ${words.join(' ')}: ${problem}`];
    });
    expect(problems).toEqual([]);
  });

  test('are found in texts, with what is put in later as a placeholder', () => {
    const template = '`sign in again: broker login $' + '{name(a)} --nothing`';
    const code = [template, "'the broker sleeps'", '"broker lisst"'].join(', ');
    expect(commandsNamedIn(code)).toEqual([['login', '…', '--nothing'], ['lisst']]);
    expect(commandsNamedIn(code).map((words) => judge(words, { isProse: true }).problem)).toEqual([
      'no option --nothing of broker login',
      'no command broker lisst',
    ]);
  });
});
