/**
 * Which request the code at hand works for, so that its log lines can be found together.
 *
 * What outlives the request or serves many, such as a batch, a timer or a shared process, is begun in `forNobody`: it
 * would carry the id of whoever happened to come first.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface RequestContext {
  /** `X-Request-Id`: the caller's, or one of ours. */
  readonly requestId: string;
  /** Trace the caller belongs to (W3C Trace Context). Undefined: it named none. */
  readonly traceId: string | undefined;
  /** Name of the agent, once it is known. */
  agent?: string;
}

const storage = new AsyncLocalStorage<RequestContext | undefined>();

/** Runs `work`, and all it begins, for this request. */
export function forRequest<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** Runs `work`, and all it begins, for no request. */
export function forNobody<T>(work: () => T): T {
  return storage.run(undefined, work);
}

/** The request at hand. Undefined: there is none. */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}

/** The header by which the answer says its id. Empty: there is no request at hand. */
export function requestIdHeader(): { 'X-Request-Id'?: string } {
  const context = storage.getStore();
  return context === undefined ? {} : { 'X-Request-Id': context.requestId };
}

/** The ids of the request at hand, as logs and the audit trail name them. Empty: there is none. */
export function requestIds(): { request_id?: string; trace_id?: string } {
  const context = storage.getStore();
  if (context === undefined) return {};
  const { requestId, traceId } = context;
  return traceId === undefined ? { request_id: requestId } : { request_id: requestId, trace_id: traceId };
}
