import { describe, expect, it } from 'vitest';
import { knownTool } from '../../src/mcp/tool-digest.ts';

const digestOf = (definition: Record<string, unknown>) => knownTool(definition).digest;
const TOOL = { name: 'read', inputSchema: { type: 'object', properties: { page: { type: 'string' } } } };

describe('the digest of a tool', () => {
  it('does not depend on the order of members, nor on its _meta', () => {
    const { name, inputSchema } = TOOL;
    expect(digestOf({ _meta: { at: 1 }, inputSchema, name })).toBe(digestOf(TOOL));
  });

  it.each([
    ['its description', { ...TOOL, description: '' }],
    ['an annotation', { ...TOOL, annotations: { readOnlyHint: true } }],
    ['what an argument is', { ...TOOL, inputSchema: { type: 'object', properties: { page: {} } } }],
    // Further down it is a name like any other.
    [
      'an argument called _meta',
      { ...TOOL, inputSchema: { type: 'object', properties: { page: { type: 'string' }, _meta: {} } } },
    ],
  ])('depends on %s', (_, changed) => {
    expect(digestOf(changed)).not.toBe(digestOf(TOOL));
  });
});
