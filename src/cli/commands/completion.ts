import { Argument, Command } from 'commander';
import { createLog } from '../../log.ts';
import { complete } from '../complete.ts';
import { SCRIPTS, SHELLS, type Shell } from '../completion-scripts.ts';
import { knownNames } from '../known-names.ts';
import { openSession } from '../session.ts';
import { result } from '../terminal.ts';

/** `broker completion`: a script that makes a shell complete commands, options and names. */
export function completionCommand(): Command {
  return new Command('completion')
    .description('print the script that lets your shell complete commands, options and names of connections')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', EXAMPLES)
    .action((shell: Shell) => result(SCRIPTS[shell].trimEnd()));
}

const EXAMPLES = `
Examples:
  source <(broker completion bash)                              in ~/.bashrc
  source <(broker completion zsh)                               in ~/.zshrc, after compinit
  broker completion fish > ~/.config/fish/completions/broker.fish`;

/** `broker complete -- <words>`: what the scripts ask. Not for people. */
export function completeCommand(program: Command): Command {
  return new Command('complete')
    .description('what could come next on a command line, for the completion scripts')
    .argument('[words...]')
    .action(async (words: string[], _options: unknown, command: Command) => {
      const { settings } = openSession(command);
      const log = createLog('silent');
      const { candidates, paths } = await complete(program, words, knownNames({ settings, log }));
      for (const { word, meaning } of candidates) result(meaning === '' ? word : `${word}\t${meaning}`);
      if (paths) result(`:${paths}`);
    });
}
