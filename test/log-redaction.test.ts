import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { Headers as UndiciHeaders, fetch as undiciFetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrokerError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import { Secret } from '../src/secret.ts';
import { readableLog } from './support/log-lines.ts';

/** Never anybody's. Each has this word in it, so that one search finds any. */
const NEEDLE = 'needle';
const TOKEN = `fake-${NEEDLE}-0123456789`;
const JWT = `eyJhbGciOiJub25lIn0.eyJzdWIiOi${NEEDLE}.${NEEDLE}`;

/** Answers every request with what a provider should not say. */
const server = createServer((request, response) => {
  if (request.url === '/hang-up') return void request.socket.destroy();
  response.writeHead(400, { 'content-type': 'application/json', 'set-cookie': `session=${TOKEN}` });
  response.end(JSON.stringify({ error: 'invalid_grant', error_description: 'no', refresh_token: TOKEN }));
});
let url: string;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => void server.close());

const caught = async (work: () => unknown): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

const as = (): oauth.AuthorizationServer => ({ issuer: url, token_endpoint: `${url}/token` });
const refused = async () => {
  const response = await fetch(`${url}/token`, { method: 'POST' });
  return oauth.processRefreshTokenResponse(as(), { client_id: 'x' }, response);
};

/** What libraries throw, each with a secret somewhere in it. */
const THROWN: [string, () => Promise<unknown>][] = [
  ['a refused refresh (oauth4webapi)', () => caught(refused)],
  [
    'a refused refresh (openid-client)',
    () =>
      caught(() => {
        const config = new openid.Configuration(as() as openid.ServerMetadata, 'x', TOKEN);
        openid.allowInsecureRequests(config);
        return openid.refreshTokenGrant(config, TOKEN);
      }),
  ],
  ['an answer that is no JSON', () => caught(() => JSON.parse(`{"access_token":"${TOKEN}",`))],
  [
    'a header that cannot be (built in)',
    () => caught(() => new Headers({ authorization: `Bearer ${TOKEN}\n"x" ${NEEDLE}` })),
  ],
  [
    'a header that cannot be (undici)',
    () => caught(() => new UndiciHeaders({ 'x-key': `${TOKEN}\n${NEEDLE}` })),
  ],
  ['a URL that cannot be', () => caught(() => new URL(`http://user:${TOKEN}@:x/`))],
  [
    'a connection that breaks',
    () => caught(() => undiciFetch(`${url}/hang-up`, { headers: { authorization: TOKEN } })),
  ],
  ['a URL with a password', () => caught(() => fetch(`http://user:${TOKEN}@127.0.0.1/`))],
  [
    'an error of ours with such a cause',
    async () => new BrokerError('upstream_unavailable', 'refused', { cause: await caught(refused) }),
  ],
  ['an error with such a cause', async () => new Error('wrapped', { cause: await caught(refused) })],
  [
    'an error with fields',
    async () => Object.assign(new Error('x'), { response: { body: TOKEN }, headers: [TOKEN] }),
  ],
  ['several errors in one', async () => new AggregateError([new Error(TOKEN)], 'x')],
];

/** What somebody might log. */
const LOGGED: [string, object][] = [
  ['a secret', { token: new Secret(TOKEN) }],
  ['a secret, deep down', { a: { b: { c: [new Secret(TOKEN)] } } }],
  [
    'an answer of a token endpoint',
    { body: { access_token: TOKEN, nested: { refresh_token: TOKEN, id_token: JWT } } },
  ],
  ['headers', { headers: { authorization: `Bearer ${TOKEN}`, Cookie: TOKEN, 'set-cookie': [TOKEN] } }],
  ['headers of fetch', { headers: new Headers({ 'x-key': TOKEN }) }],
  ['a request', { request: new Request('https://as.example.com', { headers: { 'x-key': TOKEN } }) }],
  ['bytes', { body: Buffer.from(TOKEN), view: new Uint8Array([1]) }],
  [
    'an object of a class',
    {
      client: new (class Client {
        key = TOKEN;
      })(),
    },
  ],
  ['a map', { map: new Map([['k', TOKEN]]) }],
  ['an agent key in a text', { text: `it sent mtb_${TOKEN}` }],
  ['a header in a text', { text: `it sent Authorization: Bearer ${TOKEN}` }],
  ['a JSON Web Token in a text', { text: `it sent ${JWT}` }],
  ['a form in a text', { text: `grant_type=refresh_token&refresh_token=${TOKEN}&x=y` }],
  ['JSON in a text', { text: JSON.stringify({ access_token: TOKEN }) }],
];

describe.each(['json', 'pretty'] as const)('a %s line', (format) => {
  const written = (log: (log: Log) => void): string => {
    const lines = readableLog('debug', format);
    log(lines.log);
    expect(lines.text()).not.toBe('');
    return lines.text();
  };

  it.each(THROWN)('does not hold the secret of %s', async (_, make) => {
    const error = await make();
    expect(written((log) => log.error({ err: error }, 'failed'))).not.toContain(NEEDLE);
    expect(written((log) => log.error({ deep: { error } }, 'failed'))).not.toContain(NEEDLE);
    expect(written((log) => log.error(error))).not.toContain(NEEDLE);
    expect(written((log) => log.error((error as Error).message))).not.toContain(NEEDLE);
  });

  it.each(LOGGED)('does not hold the secret of %s', (_, fields) => {
    expect(written((log) => log.info(fields, 'told'))).not.toContain(NEEDLE);
  });

  it('tells which secret it was, and of an error what happened', async () => {
    const fingerprint = new Secret(TOKEN).fingerprint();
    expect(written((log) => log.info({ token: new Secret(TOKEN) }, 'told'))).toContain(
      `secret:${fingerprint}`,
    );
    const text = written((log) => log.error({ err: new TypeError('it broke') }, 'failed'));
    expect(text).toMatch(/TypeError.*it broke.*log-redaction\.test/s);
  });

  it('leaves alone what is no credential', () => {
    const said = 'the bearer of https://mcp.example.com/a@b asks for basic things';
    expect(written((log) => log.info({ url: 'https://mcp.example.com/mcp' }, said))).toContain(said);
  });

  it('is not forged, and moves no cursor', () => {
    const text = written((log) =>
      log.info({ from: 'x\n\u001b[2J\u009b1A\u202e' }, 'one\n{"level":"info"}\u001b[31m'),
    );
    expect(text.match(/\n/g)).toHaveLength(1);
    if (format === 'pretty') expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    else expect(text).not.toContain('\u001b');
  });
});
