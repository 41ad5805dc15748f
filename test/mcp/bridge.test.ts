import type { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { UpstreamAccess } from '../../src/broker/gateway.ts';
import { createLog } from '../../src/log.ts';
import { type Bridge, createBridge } from '../../src/mcp/bridge.ts';
import { listTools } from '../../src/mcp/list-tools.ts';
import type { JSONRPCMessage, Pipe, PipeEnd } from '../../src/mcp/pipe.ts';
import { createStdioUpstream } from '../../src/mcp/stdio-upstream.ts';
import type { UpstreamRequest } from '../../src/mcp/upstream.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { type ProgramWorld, startProgramWorld } from '../support/program-world.ts';

const ACCESS = { connection: 'demo', connectionId: 'id' } as UpstreamAccess;
const PIECE = 'x'.repeat(50_000);

/** A server at the other end of a pipe, which does as the test says. */
function startServer(answer: (message: { id?: number; method?: string }, end: PipeEnd) => void) {
  const pipe = { pauses: 0, resumes: 0, isClosed: false };
  const ends: PipeEnd[] = [];
  const connect = async (_access: UpstreamAccess, _request: UpstreamRequest, end: PipeEnd): Promise<Pipe> => {
    ends.push(end);
    return {
      idleEndMs: 1_000,
      async send(message) {
        answer(message as { id?: number; method?: string }, end);
        return undefined;
      },
      pause() {
        pipe.pauses += 1;
      },
      resume() {
        pipe.resumes += 1;
      },
      async close() {
        pipe.isClosed = true;
      },
    };
  };
  return { pipe, ends, bridge: createBridge(connect, { clock: createManualClock() }) };
}

function request(
  message: object,
  sessionId?: string,
  signal = new AbortController().signal,
): UpstreamRequest {
  const session = sessionId === undefined ? {} : { 'mcp-session-id': sessionId };
  const headers = {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...session,
  };
  return { verb: 'POST', headers, body: Buffer.from(JSON.stringify(message)), signal };
}

const INITIALIZE = {
  ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
};
const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } };
const reply = (id: number | undefined, result: object) => ({ jsonrpc: '2.0', id, result }) as JSONRPCMessage;

const closed = (body: Readable) => new Promise<void>((resolve) => body.once('close', resolve));

async function begin(bridge: Bridge): Promise<string> {
  const answer = await bridge.upstream(ACCESS, request(INITIALIZE));
  for await (const _ of answer.body);
  return String(answer.headers['mcp-session-id']);
}

describe('a session that is bridged', () => {
  it('asks for no more than the agent reads', async () => {
    const { bridge, pipe } = startServer(({ id, method }, end) => {
      if (method === 'initialize') end.onMessage(reply(id, {}));
      if (method !== 'tools/call') return;
      for (let count = 0; count < 20; count += 1)
        end.onMessage({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: PIECE },
        });
      end.onMessage(reply(id, {}));
    });
    const id = await begin(bridge);
    expect(pipe.pauses).toBe(0);
    const { body } = await bridge.upstream(ACCESS, request(CALL, id));
    await expect.poll(() => pipe.pauses).toBe(1);
    expect(pipe.resumes).toBe(0);
    let size = 0;
    for await (const chunk of body) size += (chunk as Buffer).length;
    expect(size).toBeGreaterThan(20 * PIECE.length);
    expect(pipe.resumes).toBe(pipe.pauses);
  });

  it('goes on when an agent that does not read has gone', async () => {
    const { bridge, pipe } = startServer(({ id, method }, end) => {
      if (method === 'initialize') end.onMessage(reply(id, {}));
      for (let count = 0; method === 'tools/call' && count < 4; count += 1)
        end.onMessage({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: PIECE },
        });
    });
    const id = await begin(bridge);
    const hangUp = new AbortController();
    const { body } = await bridge.upstream(ACCESS, request(CALL, id, hangUp.signal));
    await expect.poll(() => pipe.pauses).toBe(1);
    hangUp.abort(new Error('gone'));
    await closed(body);
    await expect.poll(() => pipe.resumes).toBe(1);
  });

  it('has what it asks answered with an error where no client listens, so that it need not wait', async () => {
    const told: { id?: number; error?: { message: string } }[] = [];
    const { bridge, ends } = startServer((message, end) => {
      if (message.method === 'initialize') end.onMessage(reply(message.id, {}));
      else told.push(message);
    });
    await begin(bridge);
    ends[0]?.onMessage({ jsonrpc: '2.0', id: 9, method: 'roots/list' });
    expect(told).toMatchObject([{ id: 9, error: { message: 'no client listens' } }]);
  });

  it('is over when its beginning is refused, or given up', async () => {
    const refusing = startServer(({ id }, end) =>
      end.onMessage({ jsonrpc: '2.0', id: id as number, error: { code: -32_602, message: 'no' } }),
    );
    const id = await begin(refusing.bridge);
    await expect.poll(() => refusing.pipe.isClosed).toBe(true);
    expect(await refusing.bridge.upstream(ACCESS, request(CALL, id))).toMatchObject({ status: 404 });

    const silent = startServer(() => {});
    const giveUp = new AbortController();
    const { body } = await silent.bridge.upstream(ACCESS, request(INITIALIZE, undefined, giveUp.signal));
    giveUp.abort(new Error('gone'));
    await closed(body);
    await expect.poll(() => silent.pipe.isClosed).toBe(true);
  });

  it('does not keep an agent that has given up waiting for a server that does not connect', async () => {
    const { promise: connecting, resolve } = Promise.withResolvers<Pipe>();
    const { promise: isAsked, resolve: ask } = Promise.withResolvers<void>();
    const connect = () => {
      ask();
      return connecting;
    };
    const bridge = createBridge(connect, { clock: createManualClock() });
    const giveUp = new AbortController();
    const answer = bridge.upstream(ACCESS, request(INITIALIZE, undefined, giveUp.signal));
    await isAsked;
    giveUp.abort(new Error('gone'));
    await expect(answer).rejects.toThrow('gone');
    const { promise: hasClosed, resolve: onClose } = Promise.withResolvers<void>();
    const close = async () => onClose();
    resolve({ idleEndMs: 1, send: async () => undefined, pause() {}, resume() {}, close });
    await hasClosed;
  });
});

describe('the tools of a program', () => {
  let given: ProgramWorld;
  beforeEach(async () => {
    given = await startProgramWorld();
    await given.add('coda-local');
  });
  afterEach(() => given.close());

  it('are asked for like those of any server, by a process that ends with the answer', async () => {
    const parts = { broker: given.broker, clock: given.world.clock, log: createLog('silent') };
    const { upstream, close } = createStdioUpstream(parts);
    const access = await given.broker.gateway.open(OPERATOR, 'coda-local');
    const tools = await listTools({ broker: given.broker, upstream }, OPERATOR, access);
    expect(tools.map(({ name }) => name)).toContain('delete_document');
    await close();
  });
});
