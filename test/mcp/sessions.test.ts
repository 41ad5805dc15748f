import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorization } from '../support/gateway-clients.ts';
import { type SdkWorld, startSdkWorld } from '../support/gateway-world.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { rowsOf } from '../support/vault-file.ts';

const ACCEPT = { accept: 'application/json, text/event-stream' };

describe('sessions at the gateway', () => {
  let given: SdkWorld;
  let key: string;
  let otherKey: string;
  beforeAll(async () => {
    given = await startSdkWorld();
    key = await given.addAgent('docs-bot', { toolDeny: ['delete_*'] });
    otherKey = await given.addAgent('other-bot');
  });
  afterAll(() => given.close());

  const send = (message: unknown, headers: Record<string, string> = {}, as = key) =>
    call(given.endpoint, {
      method: 'POST',
      headers: { ...ACCEPT, ...authorization(as), ...headers },
      body: message as object,
    });

  async function open(as = key, protocolVersion = '2025-11-25'): Promise<Record<string, string>> {
    const params = { protocolVersion, capabilities: {}, clientInfo: { name: 'raw', version: '1' } };
    const answer = await send({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, {}, as);
    const session = {
      'mcp-session-id': String(answer.headers['mcp-session-id']),
      'mcp-protocol-version': protocolVersion,
    };
    await send({ jsonrpc: '2.0', method: 'notifications/initialized' }, session, as);
    return session;
  }

  const rows = () => rowsOf(given.world.vaultPath, 'SELECT * FROM sessions').length;
  const read = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'read_doc', arguments: {} } };

  it.each(['POST', 'GET', 'DELETE'])('are gone for another agent that tries %s', async (method) => {
    const session = await open();
    const before = given.upstream.all.length;
    const headers = { ...ACCEPT, ...authorization(otherKey), ...session };
    const body = method === 'POST' ? { body: read } : {};
    const answer = await call(given.endpoint, { method, headers, ...body });
    expect(answer.status).toBe(404);
    expect(answer.json).toMatchObject({ error: { data: { code: 'session_unknown' } } });
    expect(given.upstream.all.length).toBe(before);
    expect((await send(read, session)).status).toBe(200);
  });

  it('are forgotten when the server says that they have ended', async () => {
    const session = await open();
    const before = rows();
    await given.sessions.close();
    const answer = await send(read, session);
    expect(answer.status).toBe(404);
    // In the server's own words: this is what makes clients begin anew.
    expect(answer.json).toMatchObject({ error: { message: 'Session not found' } });
    expect(rows()).toBe(before - 1);
  });

  it('are forgotten after a DELETE', async () => {
    const session = await open();
    const before = rows();
    const headers = { ...authorization(key), ...session };
    expect((await call(given.endpoint, { method: 'DELETE', headers })).status).toBe(200);
    expect(rows()).toBe(before - 1);
    expect((await send(read, session)).json).toMatchObject({ error: { data: { code: 'session_unknown' } } });
  });

  it('send again what was missed to a GET with Last-Event-ID', async () => {
    const session = await open();
    const { from, stream } = await cutAnswer(session, {
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { name: 'slow', arguments: {}, _meta: { progressToken: 1 } },
    });
    expect(stream).not.toContain('"id":7');
    given.tools.goOn();
    const text = await readUntil(given.endpoint, '"id":7', {
      ...ACCEPT,
      ...authorization(key),
      ...session,
      'last-event-id': from,
    });
    expect(text).toContain('done');
  });

  it('take no Last-Event-ID from anybody who does not say which session it is of', async () => {
    const headers = { ...ACCEPT, ...authorization(key), 'last-event-id': 'x_1' };
    const answer = await call(given.endpoint, { headers });
    expect(answer.status).toBe(400);
  });

  it('take batches where the revision has them, and refuse them whole when one message is not allowed', async () => {
    const session = await open(key, '2025-03-26');
    const batch = [read, { ...read, id: 2 }, { jsonrpc: '2.0', id: 3, method: 'tools/list' }];
    const ids = idsOf(await send(batch, session));
    expect(ids.sort()).toEqual([1, 2, 3]);
    const bad = { ...read, id: 2, params: { name: 'delete_document', arguments: {} } };
    const refused = await send([read, bad], session);
    expect(refused.json).toMatchObject([
      { id: 1, error: { message: 'not sent, because another message of its batch is not allowed' } },
      { id: 2, error: { data: { code: 'forbidden' } } },
    ]);
    expect(given.tools.deleted).toEqual([]);
  });

  it('belong to the agent and not to its name: one that is made anew has none', async () => {
    const first = await given.addAgent('short-lived');
    const session = await open(first);
    await given.broker().agents.revoke('short-lived');
    await given.world.clock.advance(1);
    const second = await given.addAgent('short-lived');
    expect((await send(read, session, second)).status).toBe(404);
  });

  /** Sends a request and cuts its stream after the first event with progress; the id to go on from. */
  async function cutAnswer(
    session: Record<string, string>,
    message: { id: number; [member: string]: unknown },
  ): Promise<{ from: string; stream: string }> {
    const answer = await fetch(given.endpoint, {
      method: 'POST',
      headers: { ...ACCEPT, ...authorization(key), ...session, 'content-type': 'application/json' },
      body: JSON.stringify(message),
    });
    let stream = '';
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      stream += chunk;
      if (!stream.includes('notifications/progress')) continue;
      given.sessions.cutStreamOf(session['mcp-session-id'] ?? '', message.id);
    }
    return { from: [...stream.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? '', stream };
  }
});

function idsOf({ text }: CallAnswer): number[] {
  return [...text.matchAll(/^data: (\{.+)$/gm)].map(([, data = '']) => JSON.parse(data).id as number);
}

/** What a stream brings until it has brought `wanted`. */
async function readUntil(url: string, wanted: string, headers: Record<string, string>): Promise<string> {
  const giveUp = new AbortController();
  const answer = await fetch(url, { headers, signal: giveUp.signal });
  let text = '';
  for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.includes(wanted)) break;
  }
  giveUp.abort();
  return text;
}
