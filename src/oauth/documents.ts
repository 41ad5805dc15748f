/** Documents that servers publish for everybody: JSON at a well-known place, or a sign that it is not there. */
import { BrokerError } from '../errors.ts';
import { networkError, parseObject } from './failure.ts';
import type { Fetch } from './http.ts';

/** Documents may have moved; nothing secret goes along, and each step is checked like the first. */
const MAX_REDIRECTS = 3;

/** Asked for by servers of the first revision, ignored by all others. */
const PROTOCOL_VERSION = '2025-11-25';

export interface Fetched {
  status: number;
  /** Undefined: not a JSON object, or not there. */
  document: Record<string, unknown> | undefined;
}

/**
 * Fetches a document. A server that is out of order is asked once more: its failure must not pass for an absence.
 *
 * Throws `upstream_unavailable` (network, 5xx, 429), `discovery_failed` (it leads where we must not go, or in circles).
 */
export async function fetchDocument(url: string, fetch: Fetch): Promise<Fetched> {
  const get = async () => {
    const headers = { accept: 'application/json', 'mcp-protocol-version': PROTOCOL_VERSION };
    return fetch(url, { headers, redirects: MAX_REDIRECTS }).catch((error: unknown) => {
      throw networkError(error, url);
    });
  };
  let response = await get();
  if (isOutOfOrder(response.status)) response = await get();
  const { status } = response;
  if (isOutOfOrder(status)) {
    throw new BrokerError('upstream_unavailable', `${url} is out of order (it answered ${status})`, {
      hint: 'try again later',
    });
  }
  return { status, document: status === 200 ? parseObject(await response.text()) : undefined };
}

function isOutOfOrder(status: number): boolean {
  return status >= 500 || status === 429;
}
