/**
 * Every command line of README.md and docs/ is run as it stands there, with real servers in the place of the vendors.
 *
 * The lines of a page's blocks run one after the other, in a copy of a vault with the logins that the documents speak
 * of. Commands named in sentences run in one more copy, if nothing in them is left to the reader. What is not run is in
 * the table of `not-run.ts`, and every `broker …` whatsoever must name a command and options that exist.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CommandLine, commandLines, pages, readPage } from '../support/documented/command-lines.ts';
import { judge } from '../support/documented/known-commands.ts';
import { EXIT_CODES, NOT_RUN, notRun } from '../support/documented/not-run.ts';
import { openPageRunner, type PageRunner } from '../support/documented/page-runner.ts';
import { hasShape } from '../support/documented/shape.ts';
import { brokerCalls, simpleCommands } from '../support/documented/words.ts';
import { type DocumentedWorld, startDocumentedWorld } from '../support/documented/world.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));

const ALL = pages().flatMap((page) => commandLines(page));

const isInSentence = ({ place }: CommandLine) => place === 'inline' || place === 'file';

/** What may be run here without a thought: the broker, and programs that read. All else must be in the table. */
const HARMLESS = ['broker', 'curl', 'cat', 'cd', 'echo', 'export', 'head', 'jq', 'mkdir', 'chmod'];

/** Lines to be copied, but for those in the table. */
const toCopy = ALL.filter((line) => !isInSentence(line) && !notRun(line.page, line.command));
const isHarmless = ({ command }: CommandLine) =>
  !command.includes('`') &&
  simpleCommands(command).every(([program = 'export']) => HARMLESS.includes(program));
const copied = toCopy.filter(isHarmless);

const isCopied = (command: string) => copied.some((line) => line.command.replace(/\s+#.*/, '') === command);

/** Commands named in sentences that leave nothing to the reader, each once, if no block has them. */
const named = [
  ...new Set(
    ALL.filter(({ place, page, command }) => place === 'inline' && !notRun(page, command))
      .map(({ command }) => command)
      .filter((command) => command.startsWith('broker ') && !isCopied(command))
      .filter((command) => brokerCalls(command).every((words) => judge(words).isComplete)),
  ),
];

/** The document that names a command first. */
const whereIs = (command: string) => ALL.find((line) => line.command === command)?.page ?? '';

/** What changes something, each kind one after the other; the end of a login comes last. */
const changes = ['login', 'serve', '(?:refresh|tools|key|push|agent (?:add|set))', 'logout'].map((words) =>
  named.filter((command) => new RegExp(`^broker ${words}\\b(?! (?:list|status))`).test(command)),
);
const questions = named.filter((command) => !changes.flat().includes(command));

/** As the reader who opens a page finds it: on a new machine, or with agents and a daemon that were there before. */
const NEW_MACHINE = ['docs/quick-start.md'];

describe('the command lines of the documents', () => {
  let world: DocumentedWorld;
  beforeAll(async () => {
    world = await startDocumentedWorld();
  });
  afterAll(() => world.close());

  test.concurrent.each([...new Set(copied.map(({ page }) => page))])(
    'work as they stand in the blocks of %s',
    async (page) => {
      const lines = copied.filter((line) => line.page === page);
      const kind = NEW_MACHINE.includes(page) ? 'new' : 'prepared';
      const reader = await openPageRunner(
        world,
        kind,
        lines.map(({ command }) => command),
      );
      try {
        await startWhatIsThere(reader, lines);
        for (const line of lines) await expectLine(reader, line);
      } finally {
        await reader.close();
      }
    },
    60_000,
  );

  test.concurrent('work as they stand in sentences', async () => {
    expect(named.length).toBeGreaterThan(15);
    const reader = await openPageRunner(world, 'prepared', named);
    const inTurn = async (commands: string[]) => {
      for (const command of commands)
        await expectLine(reader, { page: whereIs(command), command }, EXIT_CODES[command]);
    };
    const thirds = [0, 1, 2].map((third) => questions.filter((_, at) => at % 3 === third));
    const farewells = changes.pop() ?? [];
    try {
      await Promise.all(thirds.map(inTurn));
      await Promise.all(changes.map(inTurn));
      await inTurn(farewells);
    } finally {
      await reader.close();
    }
  }, 60_000);
});

/** Where a page begins with a call of the daemon, that and its agent are there. */
async function startWhatIsThere(reader: PageRunner, lines: CommandLine[]): Promise<void> {
  const firstCall = lines.findIndex(({ command }) => command.startsWith('curl'));
  if (firstCall === -1 || lines.slice(0, firstCall).some(({ command }) => command.startsWith('broker serve')))
    return;
  await reader.addAgent('docs-bot', 'coda');
  await reader.run('broker serve');
}

async function expectLine(
  reader: PageRunner,
  { page, command, output }: Pick<CommandLine, 'page' | 'command' | 'output'>,
  wanted = 0,
): Promise<void> {
  const { code, output: printed } = await reader.run(command, output?.length);
  const goesOn = command.startsWith('broker serve');
  expect(code, `${page}: ${command}\n${printed}`).toBe(goesOn ? null : wanted);
  if (output === undefined) return;
  expect(hasShape(printed, output), `${page}: ${command}\n${printed}`).toBe(true);
}

test('every broker command in the documents exists, with its options, whatever is left to the reader', () => {
  const problems = ALL.flatMap(({ page, command }) =>
    brokerCalls(command).flatMap((words) => {
      const { problem } = judge(words);
      return problem === undefined ? [] : [`${page}: ${command}: ${problem}`];
    }),
  );
  expect(problems).toEqual([]);
  expect(ALL.flatMap(({ command }) => brokerCalls(command)).length).toBeGreaterThan(150);
});

test.each([
  ['npx broker list --json', [['list', '--json']]],
  ['sudo -u broker broker login coda', [['login', 'coda']]],
  ['sudo -u broker systemctl restart it', []],
  ['docker compose exec broker broker check', [['check']]],
  ['docker logs broker -f', []],
  ["export KEY=$(broker agent add a --allow 'x@*') # one", [['agent', 'add', 'a', '--allow', 'x@*']]],
  ['broker login <url|name> --name N; broker list | head', [['login', '…', '--name', 'N'], ['list']]],
  ['curl -H "Bearer $(broker token coda)" http://x | sh', [['token', 'coda']]],
  ['broker exec coda -- sh -c "broker x" > file', [['exec', 'coda', '--', 'sh', '-c', 'broker x']]],
])('the words of %j are found', (line, calls) => {
  expect(brokerCalls(line)).toEqual(calls);
});

test('every line to be copied is run, or stands in the table with the reason', () => {
  const left = toCopy.filter((line) => !isHarmless(line));
  expect(left.map(({ page, command }) => `${page}: ${command}`)).toEqual([]);
});

test('every line to be copied can be read by a shell', () => {
  const lines = ALL.filter((line) => !isInSentence(line));
  const isShell = (script: string) => spawnSync('sh', ['-n', '-c', script]).status === 0;
  if (isShell(lines.map(({ command }) => command).join('\n'))) return;
  const broken = lines.filter(({ command }) => !isShell(command));
  expect(broken.map(({ page, command }) => `${page}: ${command}`)).toEqual(['all of them together']);
});

test('commands stand in blocks of sh or console, where they are run', () => {
  const others = pages().flatMap((page) =>
    [...readPage(page).matchAll(/^```(\w*)\n(.*?)^```$/gms)]
      .filter(([, language = '']) => language !== 'sh' && language !== 'console')
      .filter(([, , block = '']) => /^(?:\$ )?(?:npx )?broker [a-z]/m.test(block))
      .map(([, language]) => `${page}: a block of ${language || 'no language'}`),
  );
  // What npm run demo prints; readme.test.ts runs it.
  expect(others).toEqual(['README.md: a block of text']);
});

describe('the table of lines that are not run', () => {
  const entries = NOT_RUN.map((entry) => ({
    ...entry,
    lines: ALL.filter(({ page, command }) => notRun(page, command) === entry),
  }));

  test('has no entry that no document has any more', () => {
    const unused = entries.filter(({ lines }) => lines.length === 0);
    expect(unused.map(({ line }) => String(line))).toEqual([]);
  });

  test('has no exit code of a command that is not run', () => {
    expect(Object.keys(EXIT_CODES).filter((command) => !named.includes(command))).toEqual([]);
  });

  test('names tests that exist, and that read the page it is about', () => {
    for (const { page = '', instead, line } of entries) {
      if (typeof instead !== 'object') continue;
      expect(existsSync(`${CHECKOUT}${instead.test}`), `${line}: ${instead.test}`).toBe(true);
      expect(readPage(instead.test)).toContain(page);
    }
  });

  test('names npm scripts that exist, and whose file is there', () => {
    const { scripts } = JSON.parse(readPage('package.json')) as { scripts: Record<string, string> };
    const lines = ALL.filter(({ command }) => command.startsWith('npm run '));
    expect(lines.length).toBeGreaterThan(3);
    for (const { page, command } of lines) {
      const script = scripts[command.split(' ')[2] ?? ''];
      expect(script, `${page}: ${command}`).toBeDefined();
      for (const [file] of script?.matchAll(/\btest\/\S+\.ts/g) ?? []) expect(readPage(file)).not.toBe('');
    }
  });
});
