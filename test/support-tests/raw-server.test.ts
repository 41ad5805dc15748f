import { afterEach, describe, expect, it } from 'vitest';
import { type RawServer, startRawServer } from '../support/raw-server.ts';

let raw: RawServer | undefined;

afterEach(() => raw?.close());

describe('a raw server', () => {
  it('answers what the handler says, and keeps what it saw', async () => {
    raw = await startRawServer(({ path }) =>
      path === '/json' ? { status: 200, body: { fine: true } } : { status: 404, body: '<h1>no</h1>' },
    );
    expect(await (await fetch(`${raw.url}/json`)).json()).toEqual({ fine: true });
    const missing = await fetch(`${raw.url}/x?y=1`, { method: 'POST', body: 'hello' });
    expect([missing.status, await missing.text()]).toEqual([404, '<h1>no</h1>']);
    expect(raw.requests[1]).toMatchObject({ method: 'POST', path: '/x?y=1', body: 'hello' });
  });

  it('resets connections', async () => {
    raw = await startRawServer(() => 'reset');
    await expect(fetch(raw.url)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  });

  it('hangs until the caller gives up, and closes all the same', async () => {
    const arrived = Promise.withResolvers<void>();
    raw = await startRawServer(() => {
      arrived.resolve();
      return 'hang';
    });
    const given = new AbortController();
    const hanging = fetch(raw.url, { signal: given.signal });
    await arrived.promise;
    given.abort(new Error('gave up'));
    await expect(hanging).rejects.toThrow('gave up');
  });
});
