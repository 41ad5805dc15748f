import { Command, Option } from 'commander';
import type { TokenView } from '../../broker/token-view.ts';
import { systemClock } from '../../clock.ts';
import { childEnvironment } from '../../config.ts';
import { BrokerError, type ErrorCode, quote } from '../../errors.ts';
import { wholeNumber } from '../arguments.ts';
import { runChild } from '../child.ts';
import { fetchTokenAndTarget, type Target } from '../credentials.ts';
import { requireFilePlace, writePrivateFile } from '../private-file.ts';
import { FORMATS, type Format, formatToken, requireShortLived } from '../pushed-token.ts';
import { openSession } from '../session.ts';
import { onStop } from '../signals.ts';
import { say, succeed, warn } from '../terminal.ts';

interface PushOptions {
  file?: string;
  command?: string;
  format: Format;
  minTtl: number;
  watch?: boolean;
  allowLongLived?: boolean;
}

/** Hands the text to the outside store. */
type Deliver = (text: string) => Promise<void>;

/** Whoever gets a copy should have some time with it. The broker clamps it to half the token's life. */
const MIN_TTL_SECONDS = 300;

/** Asks for as much as there is, so that a token in its second half is refreshed. */
const ALL_SECONDS = 31_536_000;

/** How often to look for a newer token where no end is known. */
const LOOK_AGAIN_MS = 15 * 60_000;

/** Pause after a failure; the longest one while nothing newer is to be had. */
const RETRY_MS = 30_000;

/** Longest wait in one go: a machine that slept, or a clock that was set, is noticed then. */
const LONGEST_WAIT_MS = 30_000;

/** Failures that waiting does not mend: the watch ends. */
const HOPELESS: ErrorCode[] = ['usage', 'bad_request', 'unauthenticated', 'forbidden', 'internal'];

/** `broker push`: hands a short-lived access token to an outside store. */
export function pushCommand(): Command {
  return new Command('push')
    .description('hand a short-lived access token, never the refresh token, to a file or another program')
    .usage('[options] <connection> [-- arguments of --command...]')
    .argument('<connection>')
    .argument('[arguments...]', 'of --command, after --')
    .option('--file <file>', 'write it there, whole and readable for its owner only')
    .option('--command <program>', 'give it to this program on stdin; no shell is involved')
    .addOption(new Option('--format <format>', 'how it is written').choices(FORMATS).default('json'))
    .option('--min-ttl <seconds>', 'how long it should live at least', wholeNumber, MIN_TTL_SECONDS)
    .option('--watch', 'stay, and hand over each newer token in time')
    .option('--allow-long-lived', 'also one that lives for more than a week or nobody knows how long')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Examples:
  broker push coda --file /run/my-agent/token.json --watch
  broker push coda --command vault -- kv put secret/coda -
  broker push coda --format env --file coda.env`;

async function run(name: string, args: string[], options: PushOptions, command: Command): Promise<void> {
  const deliver = receiver(options, args);
  const session = openSession(command);

  async function push(minTtlSeconds: number, previous?: TokenView): Promise<TokenView> {
    const { token, target } = await fetchTokenAndTarget(session, name, { minTtlSeconds });
    for (const warning of token.warnings ?? []) warn(warning);
    if (token.access_token === previous?.access_token) return token;
    if (!options.allowLongLived) requireShortLived(token);
    await deliver(formatToken(options.format, token, target satisfies Target));
    const end =
      token.expires_at === undefined ? 'nobody knows when it ends' : `it ends at ${token.expires_at}`;
    succeed(`the token of ${token.connection} was handed over; ${end}`);
    return token;
  }

  const first = await push(options.minTtl);
  if (options.watch) await keepFresh(first, (previous) => push(ALL_SECONDS, previous));
}

function receiver({ file, command }: PushOptions, args: string[]): Deliver {
  if ((file === undefined) === (command === undefined)) {
    throw new BrokerError('usage', 'a token is pushed to one place: a file or a program', {
      hint: 'give either --file or --command; broker token prints it',
    });
  }
  if (command !== undefined) return (text) => runReceiver([command, ...args], text);
  if (args.length > 0) {
    throw new BrokerError('usage', '--file takes no further arguments', { hint: 'they belong to --command' });
  }
  requireFilePlace(file as string, '--file');
  return async (text) => writePrivateFile(file as string, text);
}

async function runReceiver(command: [string, ...string[]], input: string): Promise<void> {
  const { code, failure } = await runChild(command, { env: childEnvironment({}), input });
  if (code === 0) return;
  const how = failure === undefined ? `ended with code ${code}` : `could not be started (${failure})`;
  throw new BrokerError('push_failed', `${quote(command[0])} ${how}`, {
    hint: 'it gets the token on stdin; what it says about it stands above',
  });
}

/** Pushes again from `refresh_after` on, until a signal. A failure that can pass is told and tried again. */
async function keepFresh(first: TokenView, push: (previous: TokenView) => Promise<TokenView>): Promise<void> {
  const stop = new AbortController();
  const release = onStop(() => stop.abort());
  let last = first;
  let pauseMs = pauseUntilDue(first);
  try {
    for (;;) {
      await waitUntil(Date.now() + pauseMs, stop.signal);
      try {
        const next = await push(last);
        pauseMs = next.access_token === last.access_token ? pauseForSame(next) : pauseUntilDue(next);
        last = next;
      } catch (error) {
        if (!(error instanceof BrokerError) || HOPELESS.includes(error.code)) throw error;
        warn(`${error.message}; trying again in ${RETRY_MS / 1000} s`);
        pauseMs = RETRY_MS;
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say('stopped; what was handed over last stays where it is');
    process.exitCode = 0;
  } finally {
    release();
  }
}

function pauseUntilDue({ refresh_after }: TokenView): number {
  return refresh_after === undefined ? LOOK_AGAIN_MS : Math.max(1000, Date.parse(refresh_after) - Date.now());
}

/** Nothing newer was to be had: look again while there is time, and sooner the less there is. */
function pauseForSame(token: TokenView): number {
  if (token.expires_at === undefined) return LOOK_AGAIN_MS;
  const restMs = Date.parse(token.expires_at) - Date.now();
  return Math.max(pauseUntilDue(token), Math.min(RETRY_MS, restMs / 2), 1000);
}

async function waitUntil(at: number, signal: AbortSignal): Promise<void> {
  do {
    await systemClock.wait(Math.max(0, Math.min(LONGEST_WAIT_MS, at - Date.now())), signal);
    signal.throwIfAborted();
  } while (Date.now() < at);
}
