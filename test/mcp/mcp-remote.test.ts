/** Agents that can only start programs, behind `mcp-remote`: the program others put between them and a server. */
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type KeyRelay, startKeyRelay } from '../support/gateway-key-relay.ts';
import { TOOL_LIST } from '../support/gateway-tools.ts';
import { type SdkWorld, startSdkWorld } from '../support/gateway-world.ts';
import { createHome, type Home } from '../support/home.ts';

const PROGRAM = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');

describe('mcp-remote through the gateway', () => {
  let given: SdkWorld;
  let key: string;
  let home: Home;
  let client: Client;
  /** Passes everything on as it is, and notes what was asked of the broker. */
  let relay: KeyRelay;
  let asked: string[];

  beforeAll(async () => {
    given = await startSdkWorld();
    key = await given.addAgent('docs-bot', { toolDeny: ['delete_*'] });
  });
  afterAll(() => given.close());
  beforeEach(async () => {
    home = await createHome();
    asked = [];
    relay = await startKeyRelay(given.endpoint, {}, asked);
    client = new Client({ name: 'agent', version: '1' });
  });
  afterEach(async () => {
    await client.close();
    await relay.close();
    await home.remove();
  });

  const configDirectory = () => join(home.path, 'mcp-auth');
  const browserMark = () => join(home.path, 'browser-was-started');

  /** What it knows of a sign-in: it would keep a registration, a verifier and tokens there. */
  async function keptFiles(): Promise<string[]> {
    const entries = await readdir(configDirectory(), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  /** As its manual says; the key is in the environment, since everybody can read the arguments. */
  async function start(agentKey: string): Promise<StdioClientTransport> {
    const browser = join(home.path, 'browser');
    await writeFile(browser, `#!/bin/sh\ntouch "${browserMark()}"\n`, { mode: 0o700 });
    const header = ['--header', `Authorization:\${AUTH_HEADER}`];
    return new StdioClientTransport({
      command: process.execPath,
      args: [PROGRAM, relay.url, ...header, '--allow-http', '--transport', 'http-only'],
      env: {
        ...home.env,
        AUTH_HEADER: `Bearer ${agentKey}`,
        MCP_REMOTE_CONFIG_DIR: configDirectory(),
        BROWSER: browser,
      },
      stderr: 'pipe',
    });
  }

  it('lists what is allowed, calls it, and is told why the rest is refused', async () => {
    await client.connect(await start(key));
    const { tools } = await client.listTools();
    const allowed = TOOL_LIST.map(({ name }) => name).filter((name) => name !== 'delete_document');
    expect(tools.map(({ name }) => name)).toEqual(allowed);
    const { content } = await client.callTool({ name: 'read_doc', arguments: { id: 'a' } });
    expect(content).toEqual([{ type: 'text', text: 'contents of a' }]);
    await expect(client.callTool({ name: 'delete_document', arguments: { id: 'a' } })).rejects.toThrow(
      'tool delete_document of demo is not allowed for agent docs-bot',
    );
    expect(given.tools.deleted).toEqual([]);
  });

  it('looks for a way to sign in, and takes none, while its key is good', async () => {
    await client.connect(await start(key));
    await client.listTools();
    const wellKnown = asked.filter((each) => each.includes('/.well-known/'));
    expect(wellKnown.length).toBeGreaterThan(0);
    const others = asked.filter((each) => !wellKnown.includes(each));
    expect(new Set(others)).toEqual(new Set(['GET /mcp/demo', 'POST /mcp/demo']));
    expect(await keptFiles()).toEqual([]);
    expect(existsSync(browserMark())).toBe(false);
  });

  it('ends with an error, and without a browser, when its key is wrong', async () => {
    const transport = await start('another-key');
    const said = text(transport.stderr as Readable);
    await expect(client.connect(transport)).rejects.toThrow('Connection closed');
    // It asks at the place the oldest revision has for it, since no metadata names one.
    expect(await said).toContain('Fatal error: RegistrationRejectedError');
    expect(asked.at(-1)).toBe('POST /register');
    expect(await keptFiles()).toEqual([]);
    expect(existsSync(browserMark())).toBe(false);
  });
});
