/** The options of `broker add`: each way in which a connection gets its tokens has its own. */
import { type Command, Option } from 'commander';
import type { Addition } from '../../broker/add-words.ts';
import { AUTH_METHODS } from '../../core/auth-methods.ts';
import { BrokerError } from '../../errors.ts';
import { collect, collectScopes, instant } from '../arguments.ts';
import { PROGRAM_OPTIONS } from './add-program.ts';

export type Way = Addition['way'] | 'program';

const WAYS: Way[] = ['entered', 'machine', 'identity', 'program'];

const OPTIONS: Record<Way, Option[]> = {
  entered: [
    new Option('--bearer-file <file>', 'a token, such as a personal access token; - for stdin'),
    new Option(
      '--header <name>',
      'a header; its value is the secret, or "Name: text {{token}}" (repeatable)',
    ).argParser(collect),
    new Option(
      '--value-file <file>',
      'the secret of the header before it; - for stdin (repeatable)',
    ).argParser(collect),
    new Option('--none', 'the server wants no credential'),
    new Option(
      '--expires <when>',
      'when it ends, so that broker check can warn: 90d or 2027-01-31',
    ).argParser(instant),
    new Option('--probe', 'ask the server first, and store nothing it refuses'),
  ],
  machine: [
    new Option('--client-credentials', 'with the client’s own id and secret or key'),
    new Option(
      '--workload-token-file <file>',
      'with the token a platform keeps in this file (workload identity)',
    ),
    new Option(
      '--identity-token-file <file>',
      'with the ID token in this file (enterprise-managed authorization)',
    ),
    new Option('--identity-issuer <url>', 'the identity provider that issued it'),
    new Option('--identity-client-id <id>', 'our client at the identity provider'),
    new Option('--client-id <id>', 'OAuth client at the server'),
    new Option('--client-secret-file <file>', 'its secret; - for stdin'),
    new Option('--client-key-file <file>', 'its private key (PEM or JWK), for private_key_jwt'),
    new Option('--generate-client-key', 'make that key here, and print the public half to register'),
    new Option('--auth-method <method>', 'how the client authenticates').choices(AUTH_METHODS),
    new Option('--scope <scope>', 'ask for this scope (repeatable)').argParser(collectScopes),
    new Option('--issuer <url>', 'the authorization server you vouch for, whatever is announced'),
    new Option('--resource <uri>', 'the resource you vouch for, whatever is announced'),
    new Option('--no-resource', 'leave out the resource parameter (RFC 8707)'),
  ],
  identity: [
    new Option('--identity <server>', 'made from the users’ logins at this server, such as corp'),
    new Option('--forward', 'their access token goes there as it is, although it was issued for another'),
    new Option('--exchange', 'it is exchanged for one of this server first (RFC 8693)'),
  ],
  program: PROGRAM_OPTIONS,
};

const HEADINGS: Record<Way, string> = {
  entered: 'Entered by hand:',
  machine: 'A machine’s own credentials:',
  identity: 'The identity of the user:',
  program: 'A program on this machine (stdio), reached through the gateway:',
};

/** The ways in sentences. */
const WORDS: Record<Way, string> = {
  entered: 'what is entered by hand',
  machine: 'a machine’s own credentials',
  identity: 'the identity of users',
  program: 'a program',
};

/** Options of a machine that a server of identities has too: our client at its own authorization server. */
const SHARED = ['--client-id', '--client-secret-file', '--client-key-file', '--auth-method', '--scope'];

/** Adds the options, under a heading for each way. */
export function addWays(command: Command): void {
  for (const way of WAYS) for (const each of OPTIONS[way]) command.addOption(each.helpGroup(HEADINGS[way]));
}

/**
 * Throws `usage` for an option of another way: one that is ignored is one somebody counts on. What the environment or
 * the config file sets may be meant for other commands.
 */
export function refuseForeign(command: Command, way: Way): void {
  const isTyped = (each: Option) => command.getOptionValueSource(each.attributeName()) === 'cli';
  const isShared = (each: Option) => way === 'identity' && SHARED.includes(each.long ?? '');
  for (const other of WAYS.filter((each) => each !== way)) {
    const foreign = OPTIONS[other].find((each) => isTyped(each) && !isShared(each));
    if (!foreign) continue;
    throw new BrokerError('usage', `${foreign.long} goes with ${WORDS[other]}, not with ${WORDS[way]}`, {
      hint: 'leave it out; broker add --help shows what goes together',
    });
  }
}
