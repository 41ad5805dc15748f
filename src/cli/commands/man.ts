import { Command } from 'commander';
import { manPage } from '../man-page.ts';
import { result } from '../terminal.ts';

/** `broker man`: the manual page. The package carries a copy, which `npm install -g` puts where `man` finds it. */
export function manCommand(program: Command): Command {
  return new Command('man')
    .description('print the manual page')
    .addHelpText('after', EXAMPLES)
    .action(() => result(manPage(program, new Date()).trimEnd()));
}

const EXAMPLES = `
Examples:
  broker man | man -l -
  broker man > /usr/local/share/man/man1/broker.1`;
