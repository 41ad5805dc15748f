import { describe, expect, it } from 'vitest';
import { NO_RULES, OPEN_SERVER, type Policy } from '../../src/core/gateway-policy.ts';
import type { McpMessage } from '../../src/core/mcp-message.ts';
import { CallRefused, judgeMessages, wantsKnowledge } from '../../src/mcp/judge-call.ts';
import { GatewayRefusal } from '../../src/mcp/refusal.ts';

const OPEN: Policy = {
  ...{ connection: 'coda', agentName: 'bot', server: OPEN_SERVER },
  agent: { tools: NO_RULES, prompts: NO_RULES, resources: NO_RULES },
};
const DENIED: Policy = { ...OPEN, agent: { ...OPEN.agent, tools: { allow: [], deny: ['delete_*'] } } };
const PINNED: Policy = { ...OPEN, server: { ...OPEN_SERVER, pins: {} } };
const READ_ONLY: Policy = { ...OPEN, server: { ...OPEN_SERVER, readOnly: true } };

const request = (method: string, params: Record<string, unknown> = {}): McpMessage => ({
  ...{ kind: 'request', id: 1, method, params },
});
const call = (name: string) => request('tools/call', { name });
const RESPONSE: McpMessage = { kind: 'response' };
const reasonOf = (policy: Policy, message: McpMessage) =>
  judgeMessages(policy, [message], undefined)[0]?.reason;

describe('a model reads', () => {
  it.each<[Policy, McpMessage, string | undefined]>([
    [OPEN, call('delete_doc'), undefined],
    [DENIED, call('read_doc'), undefined],
    [DENIED, call('delete_doc'), 'tool delete_doc of coda is not allowed for agent bot'],
    [DENIED, call('delete_\u001b[1mdoc'), 'tool "delete_ [1mdoc" of coda is not allowed for agent bot'],
    [
      PINNED,
      call('a'),
      'tool a of coda is not allowed for agent bot: it is new or has changed, and nobody has accepted it yet',
    ],
    [
      READ_ONLY,
      call('a'),
      'tool a of coda is not allowed for agent bot: only tools that the server marks as read-only are',
    ],
    [
      DENIED,
      request('x/y'),
      'the method "x/y" is not allowed for agent bot: it is of no revision of MCP, so nobody can tell what it would do',
    ],
    [OPEN, request('x/y'), undefined],
    [
      OPEN,
      request('tasks/list'),
      'the method "tasks/list" is not allowed for agent bot: it would show what other agents do',
    ],
    [DENIED, RESPONSE, undefined],
    [
      DENIED,
      { kind: 'notification', method: 'tools/call', params: { name: 'delete_doc' } },
      'tool delete_doc of coda is not allowed for agent bot',
    ],
  ])('of %#', (policy, message, reason) => {
    expect(reasonOf(policy, message)).toBe(reason);
  });
});

it('each message is judged, and the one of several names that is not allowed is told', () => {
  const policy = { ...OPEN, agent: { ...OPEN.agent, resources: { allow: [], deny: ['x:b'] } } };
  const listen = request('subscriptions/listen', {
    notifications: { resourceSubscriptions: ['x:a', 'x:b'] },
  });
  expect(judgeMessages(policy, [call('a'), listen, RESPONSE], undefined)).toMatchObject([
    { name: 'a', verdict: { isAllowed: true, rule: 'none' } },
    { name: 'x:b', verdict: { isAllowed: false, rule: 'agent deny' } },
    { name: undefined, verdict: { isAllowed: true } },
  ]);
});

it('what is known of a tool counts for the tool of exactly that name', () => {
  const tools = new Map([['a', { digest: 'd', isReadOnly: true }]]);
  const judged = judgeMessages(READ_ONLY, [call('a'), call('A'), call('b')], tools);
  expect(judged.map(({ verdict }) => verdict.isAllowed)).toEqual([true, false, false]);
});

it('tools are only asked for where a rule depends on them and one is called', () => {
  expect(wantsKnowledge(PINNED, [request('ping'), call('a')])).toBe(true);
  expect(wantsKnowledge(READ_ONLY, [{ kind: 'notification', method: 'tools/call', params: {} }])).toBe(true);
  expect(wantsKnowledge(PINNED, [request('ping'), RESPONSE])).toBe(false);
  expect(wantsKnowledge(DENIED, [call('a')])).toBe(false);
});

it('a message that names nothing where it should is refused where there is a rule, and else the affair of the server', () => {
  expect(() => judgeMessages(DENIED, [request('tools/call')], undefined)).toThrow(GatewayRefusal);
  expect(judgeMessages(OPEN, [request('tools/call')], undefined)[0]?.verdict.isAllowed).toBe(true);
});

describe('a refused call', () => {
  const batch = judgeMessages(DENIED, [call('read_doc'), call('delete_doc')], undefined);

  it('answers requests with 200, and each with its own reason', () => {
    const refused = new CallRefused(batch);
    expect([refused.status, refused.code]).toEqual([200, 'forbidden']);
    expect(refused.reasonAt(0)).toBe('not sent, because another message of its batch is not allowed');
    expect(refused.reasonAt(1)).toBe('tool delete_doc of coda is not allowed for agent bot');
  });

  it('is a 403 where nobody waits for an answer', () => {
    const note: McpMessage = { kind: 'notification', method: 'tools/call', params: { name: 'delete_doc' } };
    expect(new CallRefused(judgeMessages(DENIED, [note], undefined)).status).toBe(403);
  });
});
