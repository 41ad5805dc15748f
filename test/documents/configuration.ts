/** `docs/configuration.md`, made from the tree of commands and from the list of variables. */
import type { Command, Option } from 'commander';
import { buildProgram } from '../../src/cli/main.ts';
import { environmentName } from '../../src/config.ts';
import { VARIABLES } from '../../src/variables.ts';

const INTRODUCTION = `# Configuration

<!-- Made by \`npm run docs\` from src/variables.ts and the tree of commands. A test compares. -->

Every option can be given in three places; the first that says something counts:

1. the command line: \`broker serve --listen 127.0.0.1:9000\`
2. the environment, as \`BROKER_\` and the name in capitals with underscores: \`BROKER_LISTEN=127.0.0.1:9000\`. Options that
   may be repeated take several words there; a switch takes \`true\` or \`false\`.
3. the config file, \`~/.config/mcp-token-broker/config.json\` unless \`--config\` names another: one JSON object of option names
   without dashes. A name that no option has is refused.

\`\`\`json
{ "listen": ["127.0.0.1:8787", "unix:/run/broker/broker.sock"], "log-level": "info" }
\`\`\`

Secrets never stand on a command line, where every user of the machine can read them: they come from files, from stdin
(\`-\`) or from the variables below.

`;

/** The whole page. */
export function configurationPage(): string {
  const program = buildProgram();
  const parts = [
    INTRODUCTION,
    '## Variables\n\n',
    'What is read from the environment besides the options.\n\n',
    table(
      ['variable', 'what'],
      Object.entries(VARIABLES).map(([name, what]) => [`\`${name}\``, what]),
    ),
    '\n## Options of every command\n\n',
    optionTable(program),
    ...below(program).map(
      ([path, command]) => `\n## \`broker ${path}\`\n\n${command.description()}\n\n${optionTable(command)}`,
    ),
  ];
  return parts.join('');
}

/** Commands with options of their own, by the words that lead to them. */
function below(command: Command, words: string[] = []): [string, Command][] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.flatMap((each): [string, Command][] => {
    const path = [...words, each.name()];
    return [
      ...(each.options.length > 0 ? [[path.join(' '), each] as [string, Command]] : []),
      ...below(each, path),
    ];
  });
}

function optionTable({ options }: Command): string {
  const rows = options.filter(({ hidden, long }) => !hidden && long !== '--version').map(optionRow);
  return table(['option', 'in the environment', 'what'], rows);
}

function optionRow({ flags, long, envVar, description, argChoices, defaultValue }: Option): string[] {
  const choices = argChoices ? `: ${argChoices.map((each) => `\`${each}\``).join(', ')}` : '';
  const standard = typeof defaultValue === 'string' ? ` (default: \`${defaultValue}\`)` : '';
  const variable = envVar ? `\`${environmentName((long ?? '').slice(2))}\`` : 'only typed';
  return [`\`${flags}\``, variable, description + choices + standard];
}

function table(header: string[], rows: string[][]): string {
  const cells = (row: string[]) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return cells(header) + cells(header.map(() => '---')) + rows.map(cells).join('');
}
