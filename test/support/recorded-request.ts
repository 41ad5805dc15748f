import { IncomingMessage } from 'node:http';

/** One request as a test server saw it. The values are test credentials, so they are kept as they are. */
export interface RecordedRequest {
  method: string;
  /** Without the query. */
  path: string;
  /**
   * What the server decided, known before the first byte leaves, and kept even when a fault hides that answer.
   * 0 while undecided, and when the request was dropped unseen.
   */
  status: number;
  /** `grant_type` of a token request. */
  grantType?: string;
  /** Form fields, or the query of a request without a body; of a repeated field the last value. */
  form?: Record<string, string>;
  /** The parsed body of a JSON request. */
  json?: unknown;
  /** The parsed body of a JSON answer by the server itself, kept like `status`. */
  answer?: unknown;
  /** The caller's port: the same number twice means that a connection was used again. */
  remotePort: number;
}

/** A request read to its end, so that a rule can look at it before the real server does. */
export interface ReadRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

/** Reads the whole request. Rejects when the caller goes away in the middle. */
export async function readRequest(request: IncomingMessage): Promise<ReadRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { method = 'GET', url = '/', headers } = request;
  return { method, url, headers, body: Buffer.concat(chunks) };
}

/** Describes a read request for the list that tests look at. */
export function recordRequest(read: ReadRequest, remotePort: number): RecordedRequest {
  const { pathname, searchParams } = new URL(read.url, 'http://127.0.0.1');
  const type = read.headers['content-type'] ?? '';
  const recorded: RecordedRequest = { method: read.method, path: pathname, status: 0, remotePort };
  if (type.startsWith('application/json')) {
    recorded.json = parseJson(read.body);
    return recorded;
  }
  const fields = read.body.length > 0 ? new URLSearchParams(read.body.toString()) : searchParams;
  if (fields.size > 0) recorded.form = Object.fromEntries(fields);
  const grantType = fields.get('grant_type');
  if (grantType !== null) recorded.grantType = grantType;
  return recorded;
}

/** A request like `original` that still has its body (`read`) to give, for a server that wants to read it itself. */
export function replayRequest(original: IncomingMessage, read: ReadRequest): IncomingMessage {
  const replayed = new IncomingMessage(original.socket);
  replayed.method = read.method;
  replayed.url = read.url;
  replayed.headers = { ...read.headers };
  delete replayed.headers['transfer-encoding'];
  replayed.headers['content-length'] = String(read.body.length);
  replayed.httpVersion = original.httpVersion;
  replayed.httpVersionMajor = original.httpVersionMajor;
  replayed.httpVersionMinor = original.httpVersionMinor;
  replayed.complete = true;
  replayed.push(read.body);
  replayed.push(null);
  return replayed;
}

/** The value of a JSON body; undefined when it is not JSON. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
