/** A message that is held to be looked at, as text: read so that whoever reads it after us reads the same. */
import { isUtf8 } from 'node:buffer';
import { isUnambiguous } from '../core/strict-json.ts';
import { BrokerError } from '../errors.ts';
import type { Hold } from './hold.ts';

const BOM = '\uFEFF';

/**
 * What is to be passed on in place of the text. Undefined: it passes as it came.
 *
 * Throws `upstream_unavailable` where nothing may pass unseen and the text is JSON to some readers and not to us.
 */
export async function changedText(text: string, hold: Hold): Promise<string | undefined> {
  const bare = text.startsWith(BOM) ? text.slice(1) : text;
  let message: unknown;
  try {
    message = JSON.parse(bare);
  } catch {
    if (hold.isStrict && mayBeReadByOthers(bare)) throw unreadable();
    return undefined;
  }
  const changed = await hold.onMessage(message);
  if (changed !== message) return JSON.stringify(changed);
  // Another reader could take the first of two members of one name, where we took the last.
  const isSure = !hold.isStrict || !mayNameList(bare) || isUnambiguous(bare);
  return isSure ? undefined : JSON.stringify(message);
}

/** The same for bytes. */
export async function changedBytes(bytes: Buffer, hold: Hold): Promise<Buffer | undefined> {
  if (hold.isStrict && !isUtf8(bytes)) throw unreadable();
  const changed = await changedText(bytes.toString('utf8'), hold);
  return changed === undefined ? undefined : Buffer.from(changed);
}

/** Text for people begins otherwise. NUL is in every text of UTF-16. */
function mayBeReadByOthers(text: string): boolean {
  return /^\s*[[{]/.test(text) || text.includes('\0');
}

/** Looking twice at every byte is only worth it where there may be a list. */
function mayNameList(text: string): boolean {
  return /"(?:tools|prompts|resources|resourceTemplates)"|\\u/.test(text);
}

function unreadable(): BrokerError {
  return new BrokerError('upstream_unavailable', 'the server sent a message that cannot be read for sure', {
    hint: 'it may hold what the agent is not allowed to see: tell whoever keeps the server',
  });
}
