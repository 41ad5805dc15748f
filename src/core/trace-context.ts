/** Which request is which: the ids callers send. */

/** Version, trace id, parent id, flags; later versions may say more behind these (W3C Trace Context §3.2.2). */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** The trace id of a `traceparent`. Undefined: there is none, or the header makes no sense and is to be ignored. */
export function readTraceId(traceparent: unknown): string | undefined {
  if (typeof traceparent !== 'string') return undefined;
  const [, version, traceId = '', parentId = '', more] = TRACEPARENT.exec(traceparent) ?? [];
  const isNone = /^0*$/.test(traceId) || /^0+$/.test(parentId);
  if (isNone || (version === '00' && more !== undefined)) return undefined;
  return traceId;
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** A caller's `X-Request-Id`, if it can stand in a log as it is. Undefined: one of ours is wanted. */
export function readRequestId(value: unknown): string | undefined {
  return typeof value === 'string' && REQUEST_ID.test(value) ? value : undefined;
}
