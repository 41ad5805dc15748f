import { describe, expect, it } from 'vitest';
import { fillTemplate, readHeaderTemplate, requireDistinct } from '../../src/core/headers.ts';

describe('a header template', () => {
  it.each([
    ['X-Api-Key', { name: 'X-Api-Key', template: '{{token}}' }],
    [' X-Api-Key ', { name: 'X-Api-Key', template: '{{token}}' }],
    ['Authorization: Token {{token}}', { name: 'Authorization', template: 'Token {{token}}' }],
    ['Authorization:Basic {{token}}', { name: 'Authorization', template: 'Basic {{token}}' }],
    ['X-Key: a:{{token}}', { name: 'X-Key', template: 'a:{{token}}' }],
  ])('%j is read', (text, template) => {
    expect(readHeaderTemplate(text)).toEqual(template);
  });

  it.each(['', ':', ' : {{token}}', 'X Key', 'X-Kéy', 'X-Key\r\nHost', `X${'y'.repeat(100)}`])(
    'with the name %j is refused',
    (text) => {
      expect(() => readHeaderTemplate(text)).toThrow(/is no header name$/);
    },
  );

  it.each(['X-Key=fake-secret', 'X-Key fake-secret', 'X-Kéy=fake-secret'])(
    'does not tell the secret that %j holds by mistake',
    (text) => {
      expect(() => readHeaderTemplate(text)).toThrow(/^what begins with "X-K[eé]y" is no header name$/);
    },
  );

  it.each([
    ...['Host', 'HOST', 'Content-Length', 'content-type', 'Transfer-Encoding', 'Connection', 'Keep-Alive'],
    ...['Proxy-Authorization', 'TE', 'Trailer', 'Upgrade', 'Mcp-Session-Id', 'MCP-Protocol-Version'],
  ])('of %s, which belongs to the request, is refused', (name) => {
    expect(() => readHeaderTemplate(name)).toThrow(/belongs to the request itself$/);
    expect(() => readHeaderTemplate(`${name}: {{token}}`)).toThrow(/belongs to the request itself$/);
  });

  it.each(['X-Key:', 'X-Key: abc', 'X-Key: {{ token }}', 'X-Key: {{token}}{{token}}'])(
    '%j, which does not hold its secret once, is refused',
    (text) => {
      expect(() => readHeaderTemplate(text)).toThrow(/does not say where its secret goes$/);
    },
  );
});

describe('a filled template', () => {
  const fill = (template: string, secret: string) => fillTemplate({ name: 'X-Key', template }, secret);

  it('has the secret in its place, whatever it holds', () => {
    expect(fill('Token {{token}}', 'a b')).toBe('Token a b');
    expect(fill('{{token}}', "$& $1 $' {{token}}")).toBe("$& $1 $' {{token}}");
  });

  it.each(['', ' ', '\t\n', 'a\r\nX-Evil: b', 'a\nb', 'a\0b', 'a\x7fb', ' a', 'a ', 'a\u{20ac}'])(
    'is refused for the secret %j, which it does not tell',
    (secret) => {
      const refusal = expect(() => fill('{{token}}', secret));
      refusal.toThrow(/^the value for the header X-Key cannot be sent$/);
    },
  );

  it.each(['', ' ', '\t'])('is refused when all it holds is its template, as for the secret %j', (secret) => {
    expect(() => fill('key={{token}};v=1', secret)).toThrow(/cannot be sent$/);
  });
});

describe('several headers', () => {
  it('have different names, whatever their case', () => {
    requireDistinct(['X-One', 'X-Two']);
    expect(() => requireDistinct(['X-One', 'X-Two', 'x-one'])).toThrow(/x-one is there twice$/);
  });
});
