import { describe, expect, it } from 'vitest';
import { readRequestId, readTraceId } from '../../src/core/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

describe('a traceparent (W3C Trace Context §3.2)', () => {
  it.each([
    `00-${TRACE}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-00`,
    `cc-${TRACE}-${PARENT}-01-what-the-future-may-bring`,
  ])('names a trace: %s', (header) => expect(readTraceId(header)).toBe(TRACE));

  it.each([
    undefined,
    '',
    TRACE,
    `00-${TRACE}-${PARENT}`,
    `00-${TRACE}-${PARENT}-01-more`,
    `ff-${TRACE}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`,
    [`00-${TRACE}-${PARENT}-01`],
  ])('is ignored: %s', (header) => expect(readTraceId(header)).toBeUndefined());
});

describe('an X-Request-Id', () => {
  it.each(['a', 'A-1_b.c', 'x'.repeat(128)])('is taken: %s', (id) => expect(readRequestId(id)).toBe(id));

  it.each([undefined, '', 'x'.repeat(129), 'a b', 'a,b', 'ä', 'a\n', '"', 'one, other', ['a']])(
    'is not taken: %j',
    (id) => expect(readRequestId(id)).toBeUndefined(),
  );
});
