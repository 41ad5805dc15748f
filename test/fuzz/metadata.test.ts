/** Documents of hostile servers: what is accepted keeps the rules, and all else is an error of ours. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../src/errors.ts';
import { chooseScope } from '../../src/oauth/authorization.ts';
import { chooseAuthMethod } from '../../src/oauth/client-auth.ts';
import { type Fetch, isSafeUrl } from '../../src/oauth/http.ts';
import { askForEntry, discoverResource } from '../../src/oauth/resource-discovery.ts';
import { discoverServer } from '../../src/oauth/server-discovery.ts';
import { fakeMetadata } from '../support/provider.ts';
import { HARMLESS, join, type Pieces, readCorpus } from './corpus.ts';

const URL_ASKED = 'https://mcp.example.com/mcp';
const ISSUER = 'https://as.example.com';

/** Fields of a document: what should be there, what is near to it, and anything. */
const field = (...near: unknown[]) =>
  fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...near) },
    { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
    { weight: 1, arbitrary: fc.constantFrom(...HOSTILE) },
  );
const HOSTILE = [
  null,
  { toString: 0, valueOf: 0 },
  ['https://as.example.com/x'],
  '\u001b[2J\u202e\r\n\u2028',
  'javascript:alert(1)',
  'https://a:b@as.example.com/',
  'http://169.254.169.254/',
  'https://as.example.com/\u0000',
  '5',
];

/** A document as a server sends it: mostly JSON of the right kind, sometimes cut, deep or something else. */
const sent = (document: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 8, arbitrary: document.map((value) => JSON.stringify(value) ?? '') },
    {
      weight: 1,
      arbitrary: fc.tuple(document, fc.nat(200)).map(([value, end]) => JSON.stringify(value).slice(0, end)),
    },
    {
      weight: 1,
      arbitrary: fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.constant('[['.repeat(9999))),
    },
  );

interface ResourceCase {
  name: string;
  text: Pieces;
  outcome: string;
}

interface ServerCase {
  name: string;
  /** Fields that are not as they should be. */
  changes: Record<string, unknown>;
  outcome: string;
}

/** What came of it: the result, or our error. Every other error fails the test. */
async function outcomeOf<T>(work: Promise<T>): Promise<{ result: T } | { code: string }> {
  try {
    return { result: await work };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    expect(error.message).toMatch(HARMLESS);
    expect(error.message.length).toBeLessThan(1000);
    for (const line of error.hint?.split('\n') ?? []) expect(line).toMatch(HARMLESS);
    return { code: error.code };
  }
}

/** What a login finds out about the resource. */
async function find(fetch: Fetch) {
  const entrance = await askForEntry(URL_ASKED, () => fetch);
  const found = await discoverResource(URL_ASKED, entrance, fetch, null, []);
  if (!found) throw new BrokerError('discovery_failed', 'there is no such document');
  return found;
}

describe('metadata of a protected resource (RFC 9728 §3.3)', () => {
  /** Answers the first question with this challenge, and all others with the document. */
  async function discover(text: string, challenge?: string, status = 200) {
    const asked: string[] = [];
    const fetch: Fetch = async (url, init) => {
      asked.push(url);
      if (init?.method !== 'POST') return new Response(text, { status });
      return new Response(null, { status: 401, headers: challenge ? { 'www-authenticate': challenge } : {} });
    };
    const outcome = await outcomeOf(find(fetch));
    expect(asked.filter((url) => !isSafeUrl(url))).toEqual([]);
    return outcome;
  }

  const cases = readCorpus<ResourceCase>('resource-metadata.json');

  async function check({ text, outcome }: ResourceCase) {
    const result = await discover(join(text));
    expect('code' in result ? result.code : 'accepted').toBe(outcome);
  }

  it.each(cases)('of the corpus: $name', check);

  const document = fc.record(
    {
      resource: field(URL_ASKED, 'https://mcp.example.com', `${URL_ASKED}/`, 'https://mcp.example.com/m'),
      authorization_servers: field([ISSUER], [ISSUER, 7, ''], [], ISSUER),
      scopes_supported: field(['a'], 'a b', [null]),
    },
    { requiredKeys: ['resource', 'authorization_servers'] },
  );
  const challenge = fc
    .array(
      fc.constantFrom(
        'Bearer ',
        'resource_metadata=',
        '"https://x.example.com"',
        'http://10.0.0.1/',
        '/p',
        ',',
        '"',
      ),
    )
    .map((parts) => parts.join(''));

  it('is accepted only for the URL that was asked for, and complete', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(sent(document), challenge, fc.constantFrom(200, 200, 200, 404), async (...given) => {
        const outcome = await discover(...given);
        if ('code' in outcome) return;
        accepted += 1;
        const { resource, authorizationServers, scopesSupported } = outcome.result;
        expect(['https://mcp.example.com', 'https://mcp.example.com/', URL_ASKED, `${URL_ASKED}/`]).toContain(
          resource,
        );
        for (const list of [authorizationServers, scopesSupported ?? ['none']]) {
          expect(list.length).toBeGreaterThan(0);
          expect(list.every((each) => typeof each === 'string' && each !== '')).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(20);
  });
});

describe('metadata of an authorization server (RFC 8414 §3.3)', () => {
  const discover = (text: string) => {
    const fetch: Fetch = async (url) => {
      expect(isSafeUrl(url)).toBe(true);
      return new Response(text, { status: 200 });
    };
    return outcomeOf(discoverServer(ISSUER, fetch));
  };

  const cases = readCorpus<ServerCase>('server-metadata.json');

  async function check({ changes, outcome }: ServerCase) {
    const result = await discover(JSON.stringify({ ...fakeMetadata(ISSUER), ...changes }));
    expect('code' in result ? result.code : 'accepted').toBe(outcome);
    if ('code' in result) return;
    expect(chooseScope([], 'a', undefined, result.result)).toBe('a');
    expect(['none', 'client_secret_basic']).toContain(chooseAuthMethod(result.result));
  }

  it.each(cases)('of the corpus: $name', check);

  const endpoint = (name: string) =>
    field(`${ISSUER}/${name}`, 'https://login.example.net/', 'http://127.0.0.1:1/');
  const document = fc.record(
    {
      issuer: fc.oneof(
        { weight: 5, arbitrary: fc.constant(ISSUER) },
        field(`${ISSUER}/`, 'https://AS.example.com'),
      ),
      authorization_endpoint: endpoint('authorize'),
      token_endpoint: endpoint('token'),
      registration_endpoint: endpoint('register'),
      revocation_endpoint: endpoint('revoke'),
      code_challenge_methods_supported: field(['S256'], ['plain', 'S256'], 'S256', ['plain']),
      scopes_supported: field(['a'], 'offline_access'),
    },
    {
      requiredKeys: [
        'issuer',
        'authorization_endpoint',
        'token_endpoint',
        'code_challenge_methods_supported',
      ],
    },
  );

  it('is accepted only for the issuer that was asked for, with endpoints that may be called, and PKCE', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(sent(document), async (text) => {
        const outcome = await discover(text);
        if ('code' in outcome) return;
        accepted += 1;
        const metadata = outcome.result;
        expect(metadata.issuer).toBe(ISSUER);
        const { authorization_endpoint, token_endpoint, registration_endpoint, revocation_endpoint } =
          metadata;
        if (authorization_endpoint !== undefined)
          expect(metadata.code_challenge_methods_supported).toContain('S256');
        expect(isSafeUrl(token_endpoint)).toBe(true);
        for (const optional of [authorization_endpoint, registration_endpoint, revocation_endpoint]) {
          if (optional !== undefined) expect(isSafeUrl(String(optional))).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(20);
  });
});
