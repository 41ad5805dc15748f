import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { createFetch } from '../../src/oauth/http.ts';

const fetch = createFetch({
  proxy: { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
  caFile: undefined,
});
let server: ReturnType<typeof createServer> | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(body: Buffer, encoding: string): Promise<string> {
  server = createServer((_, response) => response.writeHead(200, { 'content-encoding': encoding }).end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe('an answer that is packed although nobody asked for it', () => {
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('is unpacked from %s: the token inside is not lost', async (encoding, pack) => {
    const url = await serve(pack('{"access_token":"fake-access"}'), encoding);
    expect(await (await fetch(url)).text()).toBe('{"access_token":"fake-access"}');
  });

  it('is refused when it would grow beyond the limit', async () => {
    const url = await serve(gzipSync(Buffer.alloc(8 * 1024 * 1024)), 'gzip');
    await expect(fetch(url)).rejects.toThrow();
  });
});
