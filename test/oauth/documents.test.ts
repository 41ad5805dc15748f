import { afterEach, describe, expect, it } from 'vitest';
import { fetchDocument } from '../../src/oauth/documents.ts';
import { fetch, serveRoutes } from '../support/provider.ts';
import { type RawAnswer, type RawServer, startRawServer } from '../support/raw-server.ts';

const DOCUMENT: RawAnswer = { status: 200, body: { name: 'the document' } };

let raw: RawServer | undefined;

afterEach(() => raw?.close());

/** Fetches from a server that gives these answers one after the other. */
async function fetchAt(...answers: RawAnswer[]) {
  raw = await startRawServer(() => answers.shift() ?? { status: 410, body: 'asked too often' });
  return fetchDocument(`${raw.url}/document`, fetch);
}

const asked = () => raw?.requests.map(({ path }) => path);

/** A server whose `/0` leads to `/1`, and so on until `/<steps>`, which has the document. */
async function redirecting(steps: number, status = 302): Promise<RawServer> {
  const places = Array.from({ length: steps }, (_, step): [string, RawAnswer] => [
    `/${step}`,
    { status, headers: { location: `/${step + 1}` } },
  ]);
  raw = await serveRoutes(() => ({ ...Object.fromEntries(places), [`/${steps}`]: DOCUMENT }));
  return raw;
}

describe('a document of a server', () => {
  it('is asked for as JSON, in the words of MCP, without a credential', async () => {
    expect(await fetchAt(DOCUMENT)).toEqual({ status: 200, document: { name: 'the document' } });
    expect(raw?.requests[0]).toMatchObject({
      method: 'GET',
      headers: { accept: 'application/json', 'mcp-protocol-version': '2025-11-25' },
    });
    expect(raw?.requests[0]?.headers.authorization).toBeUndefined();
  });

  it.each<[string, RawAnswer, number]>([
    ['a page', { status: 200, body: '<h1>hello</h1>' }, 200],
    ['a list', { status: 200, body: '[]' }, 200],
    ['JSON with another status', { status: 404, body: { name: 'no document' } }, 404],
    ['a redirect to nowhere', { status: 302 }, 302],
  ])('is not %s', async (_, answer, status) => {
    expect(await fetchAt(answer)).toEqual({ status, document: undefined });
    expect(raw?.requests).toHaveLength(1);
  });
});

describe('a document whose server is out of order', () => {
  it.each([500, 502, 503, 429])('is asked for once more after %i', async (status) => {
    expect(await fetchAt({ status }, DOCUMENT)).toEqual({ status: 200, document: { name: 'the document' } });
    expect(raw?.requests).toHaveLength(2);
  });

  it.each([500, 503, 429])('never passes for absent: %i twice is told', async (status) => {
    await expect(fetchAt({ status, body: { name: 'no document' } }, { status })).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringMatching(`/document is out of order \\(it answered ${status}\\)$`),
      hint: 'try again later',
    });
    expect(raw?.requests).toHaveLength(2);
  });

  it('may be absent the second time', async () => {
    expect(await fetchAt({ status: 503 }, { status: 404 })).toEqual({ status: 404, document: undefined });
  });

  it.each<[string, RawAnswer[]]>([
    ['at once', ['reset']],
    ['the second time', [{ status: 502 }, 'reset']],
  ])('is told when the connection breaks %s', async (_, answers) => {
    const count = answers.length;
    await expect(fetchAt(...answers)).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(raw?.requests).toHaveLength(count);
  });
});

describe('a document that has moved', () => {
  it.each([301, 302, 303, 307, 308])('is followed after %i', async (status) => {
    const { url } = await redirecting(1, status);
    expect(await fetchDocument(`${url}/0`, fetch)).toMatchObject({ document: { name: 'the document' } });
    expect(asked()).toEqual(['/0', '/1']);
  });

  it('is followed three times', async () => {
    const { url } = await redirecting(3);
    expect(await fetchDocument(`${url}/0`, fetch)).toMatchObject({ status: 200 });
    expect(asked()).toEqual(['/0', '/1', '/2', '/3']);
  });

  it('is not followed a fourth time', async () => {
    const { url } = await redirecting(4);
    await expect(fetchDocument(`${url}/0`, fetch)).rejects.toMatchObject({ code: 'discovery_failed' });
    expect(asked()).toEqual(['/0', '/1', '/2', '/3']);
  });

  it('is followed to another server, which gets the same headers and nothing more', async () => {
    const there = await startRawServer(() => DOCUMENT);
    const location = `${there.url}/document`;
    expect(await fetchAt({ status: 302, headers: { location } })).toMatchObject({ status: 200 });
    expect(there.requests[0]?.headers).toMatchObject({ accept: 'application/json' });
    expect(there.requests[0]?.headers.authorization).toBeUndefined();
    await there.close();
  });

  it.each(['http://as.example.com/document', 'https://alice:fake@as.example.com/document', 'file:///etc/x'])(
    'is not followed to %s',
    async (location) => {
      await expect(fetchAt({ status: 302, headers: { location } })).rejects.toMatchObject({
        code: 'discovery_failed',
        message: expect.not.stringContaining('fake'),
      });
    },
  );
});
