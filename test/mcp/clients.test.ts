import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GATEWAY_CLIENTS, type GatewayClient } from '../support/gateway-clients.ts';
import { TOOL_LIST } from '../support/gateway-tools.ts';
import { type SdkWorld, startSdkWorld } from '../support/gateway-world.ts';

const NAMES = TOOL_LIST.map(({ name }) => name);

describe.each(Object.keys(GATEWAY_CLIENTS))('%s through the gateway', (kind) => {
  let given: SdkWorld;
  let client: GatewayClient;
  let key: string;
  const connect = () => GATEWAY_CLIENTS[kind]?.(given.endpoint, key) as Promise<GatewayClient>;
  const hasSession = kind !== 'SDK v2 in 2026-07-28';

  beforeAll(async () => {
    given = await startSdkWorld();
    key = await given.addAgent('docs-bot', { toolDeny: ['delete_*'] });
    client = await connect();
  });
  afterAll(async () => {
    await client.close();
    await given.close();
  });

  it('lists every page without what is not allowed', async () => {
    expect(await client.list()).toEqual(NAMES.filter((name) => name !== 'delete_document'));
  });

  it('calls a tool', async () => {
    expect(await client.call('read_doc', { id: 'a' })).toBe('contents of a');
  });

  it('is told why a tool is refused, which does not run', async () => {
    await expect(client.call('delete_document', { id: 'a' })).rejects.toThrow(
      'tool delete_document of demo is not allowed for agent docs-bot',
    );
    expect(given.tools.deleted).toEqual([]);
    expect(given.upstream.calls.some(({ body }) => body.includes('delete_document'))).toBe(false);
  });

  it('hears of progress while the call goes on', async () => {
    const heard: number[] = [];
    const onProgress = (done: number) => {
      heard.push(done);
      // The tool waits for this: had the step been held back, nothing would ever come.
      given.tools.goOn();
    };
    expect(await client.call('slow', {}, { onProgress })).toBe('done');
    expect(heard).toEqual([1, 2, 3]);
  });

  it('hears of changes that nobody asked for', async () => {
    await client.list();
    if (hasSession) await given.sessions.toolsChanged();
    else given.toolsChanged();
    await client.changed;
  });

  it('goes on after the daemon was started again', async () => {
    const before = client.sessionId();
    await given.stop();
    await given.start();
    expect(await client.call('read_doc', { id: 'b' })).toBe('contents of b');
    expect(client.sessionId()).toBe(before);
  });

  it('cancels a call at the server', async () => {
    const giveUp = new AbortController();
    const called = client.call('wait_long', {}, { signal: giveUp.signal });
    called.catch(() => {});
    await given.tools.waiting;
    giveUp.abort();
    await expect(called).rejects.toThrow();
    await given.tools.cancelled;
  });

  it('answers what the server wants of its model and of its person', async () => {
    expect(await client.call('sample')).toContain('a word');
    expect(await client.call('ask')).toBe('{"name":"Ada"}');
  });

  it('gets results of some megabytes whole', async () => {
    const size = 3 * 1024 * 1024;
    expect((await client.call('big', { bytes: size }))?.length).toBe(size);
  });

  if (hasSession)
    it('hears lines of the log', async () => {
      expect(await client.call('log')).toBe('logged');
      expect(client.logged).toEqual(['a line of the log']);
    });

  if (hasSession)
    it('ends its session', async () => {
      const other = await connect();
      const id = other.sessionId() as string;
      expect(given.sessions.open()).toContain(id);
      await other.terminate();
      expect(given.sessions.open()).not.toContain(id);
      await other.close();
    });
});

describe('a server that answers in JSON', () => {
  let given: SdkWorld;
  afterEach(() => given.close());

  it('is filtered and passed on as well', async () => {
    given = await startSdkWorld({ json: true });
    const key = await given.addAgent('docs-bot', { toolDeny: ['delete_*'] });
    const client = (await GATEWAY_CLIENTS['SDK v1']?.(given.endpoint, key)) as GatewayClient;
    expect(await client.list()).toEqual(NAMES.filter((name) => name !== 'delete_document'));
    const size = 3 * 1024 * 1024;
    expect((await client.call('big', { bytes: size }))?.length).toBe(size);
    await expect(client.call('delete_document')).rejects.toThrow('is not allowed for agent docs-bot');
    await client.close();
  });
});
