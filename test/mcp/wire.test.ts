import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GATEWAY_CLIENTS, type GatewayClient } from '../support/gateway-clients.ts';
import { startWireRelay, type WireRelay } from '../support/gateway-relay.ts';
import { UPSTREAM_COOKIE } from '../support/gateway-upstream.ts';
import { type SdkWorld, startSdkWorld } from '../support/gateway-world.ts';
import { call } from '../support/http-call.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';

describe('the agent\u2019s side of the wire', () => {
  let given: SdkWorld;
  let wire: WireRelay;
  let key: string;
  beforeEach(async () => {
    given = await startSdkWorld({ allowedHosts: ['127.0.0.1'] });
    wire = await startWireRelay(given.endpoint);
    key = await given.addAgent('docs-bot', { toolDeny: ['delete_*'] });
    given.world.clock.jump(60_000);
  });
  afterEach(async () => {
    await wire.close();
    await given.close();
  });

  /** Everything a client does in its life, with all that can go wrong. */
  async function live(kind: string): Promise<void> {
    const client = (await GATEWAY_CLIENTS[kind]?.(wire.url, key)) as GatewayClient;
    const provider = given.world.authorizationServer;
    await client.list();
    await client.call('read_doc', { id: 'a' });
    await client.call('sample');
    await expect(client.call('delete_document')).rejects.toThrow();
    provider.revokeAccessTokens();
    await client.call('read_doc', { id: 'after a refresh' });
    // Too new to be renewed: the refusal of the server must not get through.
    provider.revokeAccessTokens();
    await expect(client.call('read_doc')).rejects.toThrow();
    given.world.clock.jump(60_000);
    await client.call('read_doc', { id: 'after another' });
    await given.world.authorizationServer.revokeGrantsOf('alice');
    provider.revokeAccessTokens();
    given.world.clock.jump(60_000);
    await expect(client.call('read_doc')).rejects.toThrow();
    given.world.clock.jump(120_000);
    await expect(client.call('read_doc')).rejects.toThrow();
    await client.terminate().catch(() => {});
    await client.close();
  }

  it.each(Object.keys(GATEWAY_CLIENTS))('carries no secret of the server to %s', async (kind) => {
    await live(kind);
    const secrets = new Map(secretsSeenBy(given.world.authorizationServer));
    const fields = new Set(secrets.values());
    // Three logins' worth of tokens went by behind the gateway.
    expect([...fields]).toEqual(expect.arrayContaining(['access_token', 'refresh_token', 'code']));
    expect([...secrets.values()].filter((field) => field === 'access_token').length).toBeGreaterThanOrEqual(
      3,
    );
    secrets.set(UPSTREAM_COOKIE.split(';')[0] ?? '', 'cookie').set('fake-upstream-cookie', 'cookie');
    const heard = wire.down();
    expect(heard.length).toBeGreaterThan(1000);
    const leaked = [...secrets].filter(([secret]) => heard.includes(secret)).map(([, field]) => field);
    expect(leaked).toEqual([]);
    expect(heard.toString('latin1').toLowerCase()).not.toMatch(/www-authenticate|set-cookie|authorization:/);
    // The recording is one: it has what must be in it.
    expect(heard.includes('contents of after another')).toBe(true);
    expect(wire.up().includes(key)).toBe(true);
  });

  it.each(Object.keys(GATEWAY_CLIENTS))('keeps the key of the agent, with %s', async (kind) => {
    await live(kind);
    const reached = given.upstream.all.map(({ headers, body }) => JSON.stringify(headers) + body.toString());
    expect(reached.length).toBeGreaterThan(5);
    expect(reached.filter((each) => each.includes(key))).toEqual([]);
    expect(reached.every((each) => each.includes('"authorization":"Bearer '))).toBe(true);
  });

  it('keeps what else an agent sends beside its message', async () => {
    const headers = {
      authorization: `Bearer ${key}`,
      cookie: 'agent=secret-of-the-agent',
      'x-secret': 'secret-of-the-agent',
      'proxy-authorization': 'Basic secret-of-the-agent',
      accept: 'application/json, text/event-stream',
    };
    const body = { jsonrpc: '2.0', id: 1, method: 'ping' };
    await call(given.endpoint, { method: 'POST', headers, body });
    const [seen] = given.upstream.calls;
    expect(JSON.stringify(seen?.headers)).not.toContain('secret-of-the-agent');
  });
});
