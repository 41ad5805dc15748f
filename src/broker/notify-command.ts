/** Notices by a program: any mailer, pager or script. It gets the notice as JSON on stdin, and its words by name. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { childEnvironment } from '../config.ts';
import { printable, systemCode } from '../errors.ts';
import type { NoticeMessage, Sent } from './notify-message.ts';

/** A mailer that hangs must not keep the next notice waiting. */
const COMMAND_DEADLINE_MS = 30_000;

/** What is kept of its output: enough to see why it failed. */
const MAX_OUTPUT_BYTES = 4096;

/**
 * Runs the command by `/bin/sh`, like that for the master key, and waits for its end. It has a process group of its own,
 * so that a Ctrl-C for us lets it finish, and all of it can be ended at the deadline. It inherits none of our secrets.
 */
export async function runNoticeCommand(
  command: string,
  message: NoticeMessage,
  deadlineMs = COMMAND_DEADLINE_MS,
): Promise<Sent> {
  const { id, type, timestamp, data } = message;
  const child = spawn('/bin/sh', ['-c', command], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: childEnvironment({
      BROKER_NOTICE_KIND: data.kind,
      BROKER_NOTICE_CONNECTION: data.connection,
      BROKER_NOTICE_LEVEL: String(data.level),
      BROKER_NOTICE_MESSAGE: data.message,
      BROKER_NOTICE_NEXT_STEP: data.next_step ?? '',
    }),
  });
  const output = [keepStart(child.stdout), keepStart(child.stderr)];
  // Whether it wants the JSON is its own affair: its exit code tells.
  child.stdin.on('error', () => {});
  child.stdin.end(`${JSON.stringify({ id, type, timestamp, data })}\n`);
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    endGroup(child.pid);
    // What escaped the group may hold the pipes for ever.
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  }, deadlineMs);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (isLate)
      return { isDelivered: false, failure: `the command did not end within ${deadlineMs / 1000} s` };
    if (code === 0) return { isDelivered: true };
    const how = signal === null ? `code ${code}` : signal;
    const said = printable(output.map((read) => read()).join(' '));
    return { isDelivered: false, failure: `the command ended with ${how}${said === '' ? '' : `: ${said}`}` };
  } catch (error) {
    return { isDelivered: false, failure: `the command could not be started (${systemCode(error)})` };
  } finally {
    clearTimeout(deadline);
  }
}

/** Reads all, so that nobody blocks on a full pipe, and keeps the first of it. */
function keepStart(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < MAX_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MAX_OUTPUT_BYTES - size));
    size += chunk.byteLength;
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}
