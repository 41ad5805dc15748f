/**
 * One request to a token endpoint, observed raw.
 *
 * The library builds and authenticates the request; the answer is read by us, because a library that validates
 * before it returns throws away the new refresh token together with an odd `token_type`.
 */
import * as oauth from 'oauth4webapi';
import type { RefreshAnswer } from '../core/verdict.ts';
import { parseObject, readNetworkFailure, readRetryAfter } from './failure.ts';
import { type Fetch, isLoopback } from './http.ts';

/** Same shape for codes and refresh tokens. */
export type TokenAnswer = RefreshAnswer;

/** Options of the library for one request to this endpoint. Parameters that are undefined are left out. */
export function requestOptions(
  tokenEndpoint: string,
  fetch: Fetch,
  parameters: Record<string, string | undefined>,
): oauth.TokenEndpointRequestOptions {
  return {
    [oauth.customFetch]: fetch as typeof globalThis.fetch,
    [oauth.allowInsecureRequests]: isLoopback(tokenEndpoint),
    additionalParameters: given(parameters),
  };
}

/** The parameters that have a value. */
export function given(parameters: Record<string, string | undefined>): Record<string, string> {
  const isGiven = (each: [string, string | undefined]): each is [string, string] => each[1] !== undefined;
  return Object.fromEntries(Object.entries(parameters).filter(isGiven));
}

/** Runs the request and says what came back. Never throws for what a server or network may do. */
export async function observe(request: Promise<Response>, now: () => number): Promise<TokenAnswer> {
  try {
    const response = await request;
    const text = await response.text();
    return {
      kind: 'answer',
      status: response.status,
      body: parseObject(text),
      retryAfterSeconds: readRetryAfter(response.headers.get('retry-after'), now()),
    };
  } catch (error) {
    const { code, maybeSent } = readNetworkFailure(error);
    return { kind: maybeSent ? 'no_answer' : 'not_sent', code };
  }
}
