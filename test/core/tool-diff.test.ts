import { describe, expect, it } from 'vitest';
import { changedFields } from '../../src/core/tool-diff.ts';

const TOOL = {
  name: 'read',
  description: 'Reads.',
  inputSchema: { type: 'object', properties: { page: { type: 'string' } }, required: ['page'] },
  _meta: { at: 1 },
};

describe('what has changed in a definition', () => {
  it('is nothing for the same members in another order, and another _meta', () => {
    const { name, ...rest } = TOOL;
    expect(changedFields(TOOL, { ...rest, name, _meta: { at: 2 } })).toEqual([]);
  });

  it('is told field by field', () => {
    const after = {
      ...TOOL,
      description: 'Reads it.',
      annotations: { readOnlyHint: true },
      inputSchema: { type: 'object', properties: { page: { type: 'number' }, _meta: { type: 'string' } } },
    };
    expect(changedFields(TOOL, after)).toEqual([
      { field: 'description', before: 'Reads.', after: 'Reads it.' },
      { field: 'inputSchema.properties.page.type', before: 'string', after: 'number' },
      { field: 'inputSchema.properties._meta.type', after: 'string' },
      { field: 'annotations.readOnlyHint', after: 'true' },
      { field: 'inputSchema.required.0', before: 'page' },
    ]);
  });

  it('tells text from what only looks like it', () => {
    expect(changedFields({ title: '1' }, { title: 1 })).toEqual([
      { field: 'title', before: '1', after: '1' },
    ]);
    expect(changedFields({ a: {} }, { a: [] })).toEqual([{ field: 'a', before: '{}', after: '[]' }]);
    expect(changedFields({}, { a: null })).toEqual([{ field: 'a', after: 'null' }]);
  });

  it('is found in what is nested without end', () => {
    const deep = (end: string) => {
      let value: unknown = end;
      for (let depth = 0; depth < 100; depth += 1) value = { a: value };
      return { value };
    };
    expect(changedFields(deep('x'), deep('y'))).toHaveLength(1);
  });
});
