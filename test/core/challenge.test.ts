import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges, readBearerChallenge } from '../../src/core/challenge.ts';

const METADATA = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';

/** Challenges as plain objects, for comparing. */
function parse(header: string) {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('challenges in WWW-Authenticate (RFC 9110 §11.6.1)', () => {
  it.each([
    ['one with a quoted string', 'Bearer realm="mcp"', [['bearer', { realm: ['mcp'] }]]],
    ['one without parameters', 'Bearer', [['bearer', {}]]],
    [
      'several in one header',
      'Basic realm="a", Bearer realm="b", scope="mcp:all"',
      [
        ['basic', { realm: ['a'] }],
        ['bearer', { realm: ['b'], scope: ['mcp:all'] }],
      ],
    ],
    [
      'commas, equals signs and scheme names inside quotes',
      'Bearer realm="a, Basic realm=b", error="x"',
      [['bearer', { realm: ['a, Basic realm=b'], error: ['x'] }]],
    ],
    ['escaped quotes', String.raw`Bearer realm="say \"hi\" \\"`, [['bearer', { realm: ['say "hi" \\'] }]]],
    [
      'an unquoted URL',
      `Bearer resource_metadata=${METADATA}?a=b, scope=x`,
      [['bearer', { resource_metadata: [`${METADATA}?a=b`], scope: ['x'] }]],
    ],
    ['spaces around the equals sign', 'Bearer realm = "mcp"', [['bearer', { realm: ['mcp'] }]]],
    ['names in any case', 'BEARER Realm="X"', [['bearer', { realm: ['X'] }]]],
    ['a repeated name', 'Bearer scope="a", scope="b"', [['bearer', { scope: ['a', 'b'] }]]],
    [
      'missing commas between parameters',
      'Bearer realm="a" scope="b"',
      [['bearer', { realm: ['a'], scope: ['b'] }]],
    ],
    ['empty list elements', ', ,Bearer realm="a",,', [['bearer', { realm: ['a'] }]]],
    ['a string that is never closed', 'Bearer realm="mcp', [['bearer', { realm: ['mcp'] }]]],
    ['an empty string', 'Bearer realm="", error=""', [['bearer', { realm: [''], error: [''] }]]],
  ])('are read: %s', (_, header, expected) => {
    expect(parse(header)).toEqual(expected);
  });

  it('survive a token68 of another scheme in front, which is no parameter', () => {
    const challenges = parse(`Negotiate YIIJvwYGKwYBBQUC==, Bearer resource_metadata="${METADATA}"`);
    expect(challenges[0]).toEqual(['negotiate', {}]);
    expect(challenges.at(-1)).toEqual(['bearer', { resource_metadata: [METADATA] }]);
  });

  it.each(['', '   ', ',,,', '"""', '===', '\\', '"', '\u0000'])('are none in %j', (header) => {
    expect(parseChallenges(header)).toEqual([]);
  });

  it('never throw and end for any text, however odd', () => {
    const odd = fc.string({
      unit: fc.constantFrom(...'Bearer realm="\\,= \t\u00e9x/:@;()<>'),
      maxLength: 300,
    });
    fc.assert(
      fc.property(fc.oneof(odd, fc.string()), (header) => {
        for (const { scheme, parameters } of parseChallenges(header)) {
          expect(scheme).toMatch(/^[^\sA-Z"]+$/);
          expect([...parameters.keys()].every((name) => name === name.toLowerCase())).toBe(true);
        }
      }),
    );
  });

  it('are what was written, for any values in quotes', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
    const value = fc.string().map((text) => text.replace(/[\r\n]/g, ''));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (pairs) => {
        const quoted = pairs.map(([key, text]) => `${key}="${text.replace(/["\\]/g, '\\$&')}"`);
        const [challenge] = parseChallenges(`Bearer ${quoted.join(', ')}`);
        expect([...(challenge?.parameters ?? [])]).toEqual(pairs.map(([key, text]) => [key, [text]]));
      }),
    );
  });
});

describe('the challenge of an MCP server (RFC 9728 §5.1, RFC 6750 §3)', () => {
  it('is found behind another scheme', () => {
    const header = `Basic realm="x", DPoP algs="ES256", Bearer error="invalid_token", scope="a b", resource_metadata="${METADATA}"`;
    expect(readBearerChallenge(header)).toEqual({
      resourceMetadata: [METADATA],
      scope: 'a b',
      error: 'invalid_token',
    });
  });

  it('may be one of DPoP alone', () => {
    expect(readBearerChallenge(`DPoP algs="ES256", resource_metadata="${METADATA}"`)).toMatchObject({
      resourceMetadata: [METADATA],
    });
  });

  it('keeps every metadata URL in order, because some servers send a dead one first', () => {
    const dead = 'https://mcp.example.com/dead';
    for (const header of [
      `Bearer resource_metadata="${dead}", resource_metadata="${METADATA}"`,
      `Bearer resource_metadata="${dead}", Bearer resource_metadata="${METADATA}"`,
    ]) {
      expect(readBearerChallenge(header)?.resourceMetadata).toEqual([dead, METADATA]);
    }
  });

  it('is absent when only other schemes are offered', () => {
    expect(readBearerChallenge('Basic realm="x", Digest nonce="y"')).toBeUndefined();
    expect(readBearerChallenge('')).toBeUndefined();
  });

  it('takes no parameter of another scheme for its own', () => {
    expect(readBearerChallenge('Basic scope="no", Bearer realm="x"')?.scope).toBeUndefined();
  });
});
