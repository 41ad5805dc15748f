/**
 * How the gateway says no. What reaches a model is a JSON-RPC error it can read; what the broker itself refuses keeps
 * the code and the next step it has everywhere else.
 */
import type { ServerResponse } from 'node:http';
import { statusOf } from '../core/error-status.ts';
import type { RequestId } from '../core/mcp-message.ts';
import { BrokerError } from '../errors.ts';
import { requestIdHeader } from '../request-context.ts';

export type RefusalCode = 'bad_request' | 'parse_error' | 'header_mismatch' | 'forbidden' | 'session_unknown';

/** A refusal by the gateway itself, whatever the server would have said. */
export class GatewayRefusal extends Error {
  readonly status: number;
  readonly code: RefusalCode;

  constructor(status: number, code: RefusalCode, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** An error as one answer of JSON-RPC 2.0 (§5.1). */
export interface JsonRpcError {
  jsonrpc: '2.0';
  id: RequestId | null;
  error: { code: number; message: string; data: { code: string; next_step?: string; retry_after?: number } };
}

/** JSON-RPC §5.1, and -32020 of MCP 2026-07-28 for headers that disagree with the body. */
const NUMBERS: Readonly<Record<string, number>> = {
  parse_error: -32700,
  bad_request: -32600,
  header_mismatch: -32020,
  // As MCP has it for a tool that is not there.
  forbidden: -32602,
  session_unknown: -32600,
};
const INTERNAL_ERROR = -32603;

/** What is answered to a request that fails here. */
export interface Failure {
  status: number;
  code: string;
  message: string;
  nextStep?: string | undefined;
  retryAfterSeconds?: number | undefined;
}

/** The failure behind an error. Undefined: nobody knows it, and its story belongs in the log. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof GatewayRefusal)
    return { status: error.status, code: error.code, message: error.message };
  const known = error instanceof BrokerError ? statusOf(error) : undefined;
  if (!(error instanceof BrokerError) || !known) return undefined;
  return { ...known, code: error.code, message: error.message, nextStep: error.hint };
}

export const UNKNOWN_FAILURE: Failure = {
  status: 500,
  code: 'internal',
  message: 'something went wrong in the gateway; the log of the daemon tells more',
};

/** The failure as the answer to one request. */
export function toJsonRpc(
  id: RequestId | null,
  { code, message, nextStep, retryAfterSeconds }: Failure,
): JsonRpcError {
  const data = {
    code,
    ...(nextStep === undefined ? {} : { next_step: nextStep }),
    ...(retryAfterSeconds === undefined ? {} : { retry_after: retryAfterSeconds }),
  };
  const said = nextStep === undefined ? message : `${message}; what to do: ${nextStep}`;
  return { jsonrpc: '2.0', id, error: { code: NUMBERS[code] ?? INTERNAL_ERROR, message: said, data } };
}

/** A whole JSON answer. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  retryAfterSeconds?: number,
): void {
  const text = JSON.stringify(value);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...requestIdHeader(),
    ...(status === 405 ? { Allow: 'GET, POST, DELETE' } : {}),
    ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }),
  });
  response.end(text);
}
