import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import type { ConnectedEvent, LoginEvent } from '../../src/broker/login-events.ts';
import type { AuthorizationServer } from './authorization-server.ts';

/** A login that waits for its person. */
export interface PendingLogin {
  /** Where the person must go. Rejects when the login fails before it knows. */
  authorizationUrl: Promise<string>;
  /** Everything the login has said so far. */
  events: LoginEvent[];
  notices: string[];
  paste(line: string): void;
  endPaste(): void;
  /** The person gives up, for this reason. */
  abort(reason?: unknown): void;
  done: Promise<ConnectedEvent>;
}

/** Begins `broker.login` without finishing it. */
export function beginLogin(
  broker: Broker,
  target: string,
  request: Partial<LoginRequest> = {},
): PendingLogin {
  const events: LoginEvent[] = [];
  const notices: string[] = [];
  const url = Promise.withResolvers<string>();
  const interrupt = new AbortController();
  let input: ReadableStreamDefaultController<string> | undefined;
  const pasted = new ReadableStream<string>({
    start(controller) {
      input = controller;
    },
  });
  const done = broker.login(
    { target, name: 'demo', ...request },
    {
      onEvent(event) {
        events.push(event);
        if (event.event === 'authorization_url') url.resolve(event.url);
      },
      notify: (message) => void notices.push(message),
      pasted,
      signal: interrupt.signal,
    },
  );
  // Whoever awaits the one or the other sees the failure; nobody has to await both.
  done.catch(url.reject);
  url.promise.catch(() => undefined);
  return {
    authorizationUrl: url.promise,
    events,
    notices,
    paste: (line) => input?.enqueue(line),
    endPaste: () => input?.close(),
    abort: (reason) => interrupt.abort(reason),
    done,
  };
}

/** What a whole login is to be like; the rest of `LoginRequest` passes through. */
export interface SignInOptions extends Partial<LoginRequest> {
  /** Who signs in at the server. Default alice. */
  person?: string;
  /** Clicks `deny` instead. */
  deny?: boolean;
  /** How the answer gets back. Default `browser`: a request to the loopback listener. */
  by?: 'browser' | 'paste';
  /** Changes the redirect on its way. */
  change?: (redirect: URL) => void;
}

/** A finished login. */
export interface SignIn {
  connected: ConnectedEvent;
  events: LoginEvent[];
  /** The authorization request, taken apart. */
  authorizationUrl: URL;
  /** What the browser showed in the end; empty for a pasted answer. */
  page: string;
}

/**
 * Signs in like a person: opens the link, approves, goes where the server sends the browser. The connection is
 * called `demo` unless `name` says otherwise. Rejects with what the login throws.
 */
export async function signIn(
  broker: Broker,
  authorizationServer: AuthorizationServer,
  target: string,
  { by = 'browser', change, person = 'alice', deny = false, ...request }: SignInOptions = {},
): Promise<SignIn> {
  const login = beginLogin(broker, target, request);
  const authorizationUrl = await login.authorizationUrl;
  const redirect = new URL(await authorizationServer.approve(authorizationUrl, { account: person, deny }));
  change?.(redirect);
  if (by === 'paste') login.paste(redirect.href);
  const shown = by === 'browser' ? openPage(redirect.href) : Promise.resolve('');
  const connected = await login.done.finally(() => shown);
  return {
    connected,
    events: login.events,
    authorizationUrl: new URL(authorizationUrl),
    page: await shown,
  };
}

/** What a browser sees at an address. */
export async function openPage(url: string): Promise<string> {
  return (await fetch(url)).text();
}
