import { Command } from 'commander';
import { OPERATOR } from '../../broker/context.ts';
import type { LogoutView } from '../../broker/logout-one.ts';
import { asOperator, openSession } from '../session.ts';
import { resultJson, say, succeed, warn } from '../terminal.ts';

/** `broker logout`: end the login, there and here. */
export function logoutCommand(): Command {
  return new Command('logout')
    .description('end the login at the server and forget it here')
    .addHelpText('after', '\nExamples:\n  broker logout coda\n  broker logout notion@alice')
    .argument('<connection>', 'a connection, or a server whose connections are made from identities')
    .option('--json', 'as JSON')
    .action(async (name: string, { json }: { json?: boolean }, command: Command) => {
      const view = await asOperator(openSession(command), { create: false }, (broker) =>
        broker.logout(OPERATOR, name),
      );
      if (json) resultJson(view);
      else tell(view);
      // The tokens are gone from here, but may still be good there: somebody should know.
      if (view.revocation === 'failed') process.exitCode = 1;
    });
}

function tell({ connection, revocation, registration_deleted, gone }: LogoutView): void {
  succeed(`${connection} is forgotten here`);
  if (gone) say(`  gone with it: ${gone.join(', ') || 'no connection'}; the logins they were made from stay`);
  switch (revocation) {
    case 'revoked':
      say('  its tokens were revoked at the server');
      break;
    case 'unsupported':
      say('  the server offers no revocation: remove the access in its own settings too');
      break;
    case 'by_hand':
      say('  it was entered by hand: end it where it was made, if nobody else needs it');
      break;
    case 'nothing':
      break;
    case 'failed':
      warn('the server did not confirm the revocation: remove the access in its own settings too');
      break;
  }
  if (registration_deleted === true) say('  our client registration there was deleted');
  if (registration_deleted === false) say('  our client registration there could not be deleted');
}
