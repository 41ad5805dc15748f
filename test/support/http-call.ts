import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from 'node:http';

/** What a call is like; the default is a bare GET. */
export interface CallOptions {
  method?: string;
  /** May set `host`, which `fetch` does not allow. */
  headers?: Record<string, string>;
  /** An object becomes JSON; a string is sent as it is. */
  body?: string | object;
}

/** An answer, read to its end. */
export interface CallAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed body; undefined when it is not JSON. */
  json: Record<string, unknown>;
}

/** One request on a connection of its own. `url` is `http://host:port/path`, or `unix:/socket` followed by ` /path`. */
export async function call(
  url: string,
  { method = 'GET', headers = {}, body }: CallOptions = {},
): Promise<CallAnswer> {
  const isJson = typeof body === 'object';
  const [, socketPath, path] = /^unix:(\S+) (\S+)$/.exec(url) ?? [];
  const options: RequestOptions = {
    method,
    agent: false,
    headers: { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers },
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent =
    socketPath === undefined
      ? request(url, options, resolve)
      : request({ ...options, socketPath, path }, resolve);
  sent.once('error', reject);
  sent.end(isJson ? JSON.stringify(body) : body);
  const response = await promise;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    json: parse(text) as Record<string, unknown>,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
