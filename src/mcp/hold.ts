/** Which answers are held to be looked at before they are passed on, and what is looked for. */
import type { UpstreamAccess } from '../broker/gateway.ts';
import { saysLoginEnded } from '../core/ended-login.ts';
import { isRestricted, judge, type Policy } from '../core/gateway-policy.ts';
import { filterLists } from '../core/list-filter.ts';
import { mayAnswerWithList, type RequestId } from '../core/mcp-message.ts';
import type { Call } from './call.ts';
import { knownTool } from './tool-digest.ts';

/** How to hold the messages of one answer. */
export interface Hold {
  /** What becomes of a message: itself, or another in its place. */
  onMessage(message: unknown): Promise<unknown>;
  maxBytes: number;
  /** What becomes of one that is larger: it passes unseen, or the answer breaks off. */
  whenLarger: 'pass' | 'fail';
  /** Whether nothing passes that others might read in another way. Default false. */
  isStrict?: boolean;
}

/** Told of what is found in messages on their way. */
export interface Listener {
  /** Sees each message. */
  heard(message: unknown): void;
  /** The server says that the login has ended, to this request; what to answer in place of it. */
  loginEnded(id: RequestId | null): Promise<unknown>;
}

/** A list is not passed on unseen, however long it is. */
export const LONGEST_LIST_BYTES = 16 * 1024 * 1024;

/** A list may come where none was asked for; what is longer than this is the answer to another question. */
const LONGEST_STRAY_LIST_BYTES = 1024 * 1024;

/** Somebody who says that a login has ended needs no more. */
const LONGEST_COMPLAINT_BYTES = 64 * 1024;

/** Undefined: the answer passes as it comes. */
export function holdFor(call: Call, access: UpstreamAccess, listener: Listener): Hold | undefined {
  const { policy, endedLoginTexts } = access;
  const seeEnd = async (message: unknown) =>
    saysLoginEnded(message, endedLoginTexts) ? listener.loginEnded(idOf(message)) : message;
  if (isRestricted(policy)) {
    const onMessage = (message: unknown) => {
      listener.heard(message);
      return seeEnd(withoutHidden(message, policy));
    };
    return mayHoldList(call)
      ? { onMessage, maxBytes: LONGEST_LIST_BYTES, whenLarger: 'fail', isStrict: true }
      : { onMessage, maxBytes: LONGEST_STRAY_LIST_BYTES, whenLarger: 'pass', isStrict: true };
  }
  if (endedLoginTexts.length === 0 || call.verb !== 'POST') return undefined;
  return { onMessage: seeEnd, maxBytes: LONGEST_COMPLAINT_BYTES, whenLarger: 'pass' };
}

/** Streams without a question bring whatever the server has, answers that came too late among it. */
function mayHoldList({ verb, messages }: Call): boolean {
  if (verb === 'GET') return true;
  return messages.some((message) => message.kind !== 'response' && mayAnswerWithList(message.method));
}

function withoutHidden(message: unknown, policy: Policy): unknown {
  return filterLists(message, (kind, name, entry) => {
    const known = kind === 'tool' ? knownTool(entry as Record<string, unknown>) : undefined;
    return judge(policy, { kind, name }, known).isAllowed;
  });
}

function idOf(message: unknown): RequestId | null {
  return (message as { id?: RequestId }).id ?? null;
}
