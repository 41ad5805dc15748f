import { describe, expect, it } from 'vitest';
import {
  readClientDocument,
  requireClientIdUrl,
  writeClientDocument,
} from '../../src/core/client-document.ts';

const URL_OF_IT = 'https://example.com/broker/client.json';
const LOOPBACK = 'http://127.0.0.1:41234/callback';
const PAGE = 'https://example.com/broker/callback';

/** What is thrown. */
function refusal(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return expect.unreachable('nothing was refused');
}

describe('the document to host', () => {
  it('describes a public client', () => {
    expect(writeClientDocument({ url: URL_OF_IT, redirectUris: [LOOPBACK, PAGE] })).toEqual({
      client_id: URL_OF_IT,
      client_name: 'mcp-token-broker',
      redirect_uris: [LOOPBACK, PAGE],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    });
  });

  it('describes a client that signs, with its public keys', () => {
    const jwks = { keys: [{ kty: 'EC', crv: 'P-256', x: 'fake', y: 'fake', kid: 'key-1' }] };
    expect(writeClientDocument({ url: URL_OF_IT, redirectUris: [LOOPBACK], jwks })).toMatchObject({
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
    });
  });

  it('keeps redirect URIs to the letter, and refuses what nobody should be redirected to', () => {
    const spelled = 'HTTP://127.0.0.1:41234/callback?a=ä';
    const written = writeClientDocument({ url: URL_OF_IT, redirectUris: [spelled] });
    expect(written.redirect_uris).toEqual([spelled]);
    for (const uri of ['http://example.com/callback', 'com.example:/callback', 'rubbish']) {
      const refused = refusal(() => writeClientDocument({ url: URL_OF_IT, redirectUris: [LOOPBACK, uri] }));
      expect(refused).toMatchObject({ code: 'usage' });
    }
  });

  it('is read again as it was written', () => {
    const document = writeClientDocument({ url: URL_OF_IT, redirectUris: [PAGE, LOOPBACK] });
    const read = readClientDocument(URL_OF_IT, { status: 200, document }, undefined);
    expect(read).toEqual({ redirectUri: LOOPBACK });
  });
});

describe('the URL of such a document', () => {
  it.each([URL_OF_IT, 'https://example.com/c', 'https://example.com:8443/client', 'https://example.com/a/'])(
    'may be %s',
    (url) => {
      expect(requireClientIdUrl(url)).toBeUndefined();
    },
  );

  it.each([
    ['plain http', 'http://example.com/client.json'],
    ['without a path', 'https://example.com'],
    ['with the path of every site', 'https://example.com/'],
    ['with a query', `${URL_OF_IT}?v=1`],
    ['with an empty query', `${URL_OF_IT}?`],
    ['with a fragment', `${URL_OF_IT}#me`],
    ['with an empty fragment', `${URL_OF_IT}#`],
    ['with a user name', 'https://alice@example.com/client.json'],
    ['with a password', 'https://alice:fake@example.com/client.json'],
    ['with dots in its path', 'https://example.com/a/../client.json'],
    ['with one dot in its path', 'https://example.com/./client.json'],
    ['spelled in another way', 'https://EXAMPLE.com/client.json'],
    ['with the usual port', 'https://example.com:443/client.json'],
    ['with white space around it', ` ${URL_OF_IT}`],
    ['no URL', 'client.json'],
  ])('is refused when it is %s', (_, url) => {
    for (const act of [
      () => requireClientIdUrl(url),
      () => writeClientDocument({ url, redirectUris: [LOOPBACK] }),
    ]) {
      expect(refusal(act)).toMatchObject({ code: 'usage', hint: expect.stringContaining('https://') });
    }
  });

  it('is told in quotes when it is refused', () => {
    expect(refusal(() => requireClientIdUrl('\u001b[2Jx'))).toMatchObject({
      message: '"[2Jx" cannot be the URL of a client metadata document',
    });
  });
});

describe('what is hosted', () => {
  const read = (document: Record<string, unknown> | undefined, wished?: string, status = 200) =>
    readClientDocument(URL_OF_IT, { status, document }, wished);
  const listing = (...redirect_uris: unknown[]) => ({ client_id: URL_OF_IT, redirect_uris });

  it.each<[string, unknown[], string | undefined, string]>([
    ['the wished one', [LOOPBACK, PAGE], PAGE, PAGE],
    [
      'else the first we can listen for',
      [PAGE, 'http://localhost:1/x', LOOPBACK],
      undefined,
      'http://localhost:1/x',
    ],
    ['else the first', [PAGE, 'https://example.com/other'], undefined, PAGE],
    ['never what is no text', [7, null, LOOPBACK], undefined, LOOPBACK],
    ['never one without a port', ['http://127.0.0.1/callback', LOOPBACK], undefined, LOOPBACK],
  ])('gives the redirect URI: %s', (_, listed, wished, chosen) => {
    expect(read(listing(...listed), wished)).toEqual({ redirectUri: chosen });
  });

  it.each<[string, Record<string, unknown> | undefined, string]>([
    ['is no document', undefined, 'it answers 200 and is no JSON object'],
    ['names another client', { ...listing(LOOPBACK), client_id: PAGE }, `its client_id is "${PAGE}"`],
    ['names no client', { redirect_uris: [LOOPBACK] }, 'its client_id is "undefined"'],
    ['lists nothing', listing(), 'it lists no redirect URI'],
    ['lists no text', listing(7), 'it lists no redirect URI'],
    [
      'lists nothing a browser can come back to',
      listing('http://127.0.0.1/callback'),
      'the redirect URI "http://127.0.0.1/callback" names no port',
    ],
    ['has no list', { client_id: URL_OF_IT, redirect_uris: LOOPBACK }, 'it lists no redirect URI'],
  ])('is refused when it %s, with what to host', (_, document, reason) => {
    expect(refusal(() => read(document))).toMatchObject({
      code: 'config_error',
      message: `the client metadata document ${URL_OF_IT} does not fit: ${reason}`,
      hint: `host what this prints: broker client-metadata --client-metadata-url ${URL_OF_IT}`,
    });
  });

  it('is refused when the wished redirect URI is not listed to the letter', () => {
    for (const wished of [`${LOOPBACK}/`, LOOPBACK.replace('127.0.0.1', 'localhost')]) {
      expect(refusal(() => read(listing(LOOPBACK), wished))).toMatchObject({
        code: 'config_error',
        message: expect.stringContaining(`it does not list ${wished}`),
      });
    }
  });

  it('is refused with the status of a page that is not there', () => {
    expect(refusal(() => read(undefined, undefined, 404))).toMatchObject({
      message: expect.stringContaining('it answers 404'),
    });
  });
});
