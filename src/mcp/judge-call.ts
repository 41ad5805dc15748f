/** Which messages of a call are let through, and in the words a model reads, why not. */
import {
  isRestricted,
  judge,
  type KnownTool,
  needsKnowledge,
  type Policy,
  type Verdict,
} from '../core/gateway-policy.ts';
import {
  AmbiguousMessage,
  isKnownMethod,
  type McpMessage,
  type Wanted,
  wantedBy,
} from '../core/mcp-message.ts';
import { quote } from '../errors.ts';
import { GatewayRefusal } from './refusal.ts';

/** A message and what the policy says of it. */
export interface Judged {
  message: McpMessage;
  /** What it names. Undefined: nothing. */
  name: string | undefined;
  verdict: Verdict;
  /** Why it is refused. Undefined: it is not. */
  reason: string | undefined;
}

/** A call of which nothing is sent, because some of it is not allowed. */
export class CallRefused extends GatewayRefusal {
  readonly judged: readonly Judged[];

  constructor(judged: readonly Judged[]) {
    const wantsAnswer = judged.some(({ message }) => message.kind === 'request');
    // A refusal that answers a request is an answer like any other; clients show models nothing else.
    super(wantsAnswer ? 200 : 403, 'forbidden', judged.find(({ reason }) => reason)?.reason ?? 'not allowed');
    this.judged = judged;
  }

  /** Why the request of this index is not answered by the server. */
  reasonAt(index: number): string {
    return this.judged[index]?.reason ?? 'not sent, because another message of its batch is not allowed';
  }
}

/** What a server's tools are known as, by name. */
export type KnownTools = ReadonlyMap<string, KnownTool>;

/** Whether the server's tools must be known to judge these messages. */
export function wantsKnowledge(policy: Policy, messages: readonly McpMessage[]): boolean {
  return (
    needsKnowledge(policy) &&
    messages.some((message) => message.kind !== 'response' && message.method === 'tools/call')
  );
}

/** Judges each message. Throws `GatewayRefusal` for one that does not name what it should. */
export function judgeMessages(
  policy: Policy,
  messages: readonly McpMessage[],
  tools: KnownTools | undefined,
): Judged[] {
  return messages.map((message) => judgeMessage(policy, message, tools));
}

function judgeMessage(policy: Policy, message: McpMessage, tools: KnownTools | undefined): Judged {
  const method = refusedMethod(policy, message);
  if (method) return { message, name: undefined, ...method };
  const wanted = wantedOf(policy, message);
  const name = wanted[0]?.name;
  for (const each of wanted) {
    const verdict = judge(policy, each, tools?.get(each.name));
    if (!verdict.isAllowed)
      return { message, name: each.name, verdict, reason: reasonFor(policy, each, verdict) };
  }
  const verdict = wanted[0]
    ? judge(policy, wanted[0], tools?.get(wanted[0].name))
    : { isAllowed: true, rule: 'none' };
  return { message, name, verdict, reason: undefined };
}

/**
 * Methods that could go around the rules. The tasks of all agents are one list at the server, which knows one login;
 * and what a method does that no revision has, nobody can judge.
 */
function refusedMethod(policy: Policy, message: McpMessage): Pick<Judged, 'verdict' | 'reason'> | undefined {
  if (message.kind === 'response') return undefined;
  const { method } = message;
  const isUnknown = isRestricted(policy) && !isKnownMethod(method);
  if (method !== 'tasks/list' && !isUnknown) return undefined;
  const why = isUnknown
    ? 'is of no revision of MCP, so nobody can tell what it would do'
    : 'would show what other agents do';
  return {
    verdict: { isAllowed: false, rule: 'method' },
    reason: `the method ${quote(method)} is not allowed for agent ${policy.agentName}: it ${why}`,
  };
}

function wantedOf(policy: Policy, message: McpMessage): Wanted[] {
  try {
    return wantedBy(message);
  } catch (error) {
    if (!(error instanceof AmbiguousMessage)) throw error;
    // Where no rule could be broken, the server says best what is amiss.
    if (!isRestricted(policy)) return [];
    throw new GatewayRefusal(400, 'bad_request', `the message ${error.message}`);
  }
}

const BECAUSE: Readonly<Record<string, string>> = {
  pin: ': it is new or has changed, and nobody has accepted it yet',
  'read-only': ': only tools that the server marks as read-only are',
};

function reasonFor({ agentName, connection }: Policy, { kind, name }: Wanted, { rule }: Verdict): string {
  const plain = /^[\w.\-/]{1,128}$/.test(name) ? name : quote(name);
  return `${kind} ${plain} of ${connection} is not allowed for agent ${agentName}${BECAUSE[rule] ?? ''}`;
}
