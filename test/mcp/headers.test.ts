import { describe, expect, it } from 'vitest';
import { answerHeaders } from '../../src/mcp/headers.ts';
import { Secret } from '../../src/secret.ts';

const BEARER = { Authorization: new Secret('Bearer fake-token-1') };
const told = (headers: Record<string, string>, credential: Record<string, Secret> = BEARER) =>
  Object.keys(answerHeaders(headers, credential)).filter((name) => name in headers);

describe('of the headers of an answer the agent is told', () => {
  it('those of MCP and a few of HTTP', () => {
    const passing = {
      ...{ 'mcp-session-id': 's-1', 'mcp-protocol-version': '2025-11-25', 'content-type': 'text/plain' },
      ...{ 'retry-after': '3', allow: 'POST', 'content-language': 'de' },
    };
    const others = { 'mcp-debug': 'x', 'mcp-param-region': 'x', 'set-cookie': 'x', server: 'x' };
    expect(told({ ...passing, ...others })).toEqual(Object.keys(passing));
  });

  it.each([
    ['with its scheme', { 'mcp-session-id': 'Bearer fake-token-1' }, BEARER],
    ['without it', { 'mcp-session-id': 'x-fake-token-1-x' }, BEARER],
    ['of any kind', { 'content-language': 'fake-key' }, { 'X-Key': new Secret('fake-key') }],
    ['of several', { allow: 'two-of-them' }, { A: new Secret('one-of-them'), B: new Secret('two-of-them') }],
  ])('none that holds the credential: %s', (_how, headers, credential: Record<string, Secret>) => {
    expect(told(headers as Record<string, string>, credential)).toEqual([]);
  });

  it('none that Node would refuse to send', () => {
    expect(told({ 'content-language': 'd\u{15b}', 'retry-after': '1' })).toEqual(['retry-after']);
  });

  it('whatever a credential has in common with any text', () => {
    expect(told({ allow: 'GET, POST' }, { 'X-Key': new Secret('GET') })).toEqual(['allow']);
  });
});
