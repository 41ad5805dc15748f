import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';

/** What a call is like; the default is a bare GET. */
export interface CallOptions {
  method?: string;
  /** May set `host`, which `fetch` does not allow. */
  headers?: Record<string, string>;
  /** An object becomes JSON; a string is sent as it is. */
  body?: string | object;
}

/** Told of an answer, once it is read; throws where it is not as it should be. */
export type OnAnswer = (method: string, path: string, answer: CallAnswer) => void;

const listeners = new Map<string, OnAnswer>();

/** Tells of each answer that `call` gets from below `url`, before its caller hears of it. Returns what ends that. */
export function onAnswersOf(url: string, listener: OnAnswer): () => void {
  listeners.set(url, listener);
  return () => void listeners.delete(url);
}

/** An answer, read to its end. */
export interface CallAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed body; undefined when it is not JSON. */
  json: Record<string, unknown>;
}

/** A request on its way, which can be given up like one of a process that is killed. */
export interface StartedCall {
  /** Resolves when the whole request has left this process. Rejects when it cannot. */
  sent: Promise<void>;
  /** Rejects when no answer comes. Nobody has to await it. */
  answered: Promise<CallAnswer>;
  hangUp(): void;
}

/** One request on a connection of its own. `url` is `http://host:port/path`, or `unix:/socket` followed by ` /path`. */
export function call(url: string, options: CallOptions = {}): Promise<CallAnswer> {
  return startCall(url, options).answered;
}

/** The same request as `call` makes, for a test that does something while it is on its way. */
export function startCall(
  url: string,
  { method = 'GET', headers = {}, body }: CallOptions = {},
): StartedCall {
  const isJson = typeof body === 'object';
  const [, socketPath, path] = /^unix:(\S+) (\S+)$/.exec(url) ?? [];
  const options: RequestOptions = {
    method,
    agent: false,
    headers: { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers },
  };
  const answer = Promise.withResolvers<CallAnswer>();
  const left = Promise.withResolvers<void>();
  const read = (response: IncomingMessage) =>
    readAnswer(response)
      .then((each) => tell(url, method, each))
      .then(answer.resolve, answer.reject);
  const request =
    socketPath === undefined
      ? httpRequest(url, options, read)
      : httpRequest({ ...options, socketPath, path }, read);
  request.once('finish', left.resolve);
  request.once('error', (error) => {
    left.reject(error);
    answer.reject(error);
  });
  request.end(isJson ? JSON.stringify(body) : body);
  answer.promise.catch(() => undefined);
  left.promise.catch(() => undefined);
  return { sent: left.promise, answered: answer.promise, hangUp: () => void request.destroy() };
}

function tell(url: string, method: string, answer: CallAnswer): CallAnswer {
  const [place, listener] = [...listeners].find(([each]) => url.startsWith(each)) ?? [];
  if (place !== undefined) listener?.(method, url.slice(place.length).trimStart(), answer);
  return answer;
}

async function readAnswer(response: IncomingMessage): Promise<CallAnswer> {
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
