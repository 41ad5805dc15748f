import type { EventEmitter } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type OidcProvider from 'oidc-provider';
import { type ApproveOptions, approveAt, approveDeviceAt } from './approve.ts';
import {
  createProvider,
  expireDeviceCode,
  forgive,
  type ProviderOptions,
  type Resources,
} from './authorization-provider.ts';
import { INTERACTION_PATH, serveConsentPage } from './consent-page.ts';
import { answerUnderFault, type FaultRule, holdBackAnswer, sendFault } from './fault.ts';
import { closeServer, listenOnLoopback, setListening } from './loopback.ts';
import { createMemoryStore } from './memory-adapter.ts';
import {
  parseJson,
  type RecordedRequest,
  readRequest,
  recordRequest,
  replayRequest,
} from './recorded-request.ts';
import { refreshTokenIsActive, type TokenStatus, tokenStatus } from './token-status.ts';

/** Everything is optional; the defaults are a well-behaved server. */
export interface AuthorizationServerOptions extends ProviderOptions {
  /** Default 0: any free port. */
  port?: number;
  /** Resource indicators (RFC 8707) accepted from the start. Default none. */
  resources?: Record<string, { scope: string }>;
}

/** A running authorization server. */
export interface AuthorizationServer {
  /** The exact issuer string. */
  issuer: string;
  /** Every request seen, in order of arrival. */
  requests: RecordedRequest[];
  /** Accepts `resource` from now on, with the scope words it knows. */
  allowResource(resource: string, scope: string): void;
  /**
   * Signs in and consents like a person with a fresh browser. Returns the redirect back to the client, not opened.
   * Throws when the server shows an error page instead.
   */
  approve(authorizationUrl: string, options?: ApproveOptions): Promise<string>;
  /**
   * Types a user code, or opens `verification_uri_complete`, and goes through all pages of the device flow like a
   * person with a fresh browser. Throws when the server shows an error page instead.
   */
  approveDevice(userCode: string, options?: ApproveOptions): Promise<void>;
  /** Lets a user code, and the device code that belongs to it, expire now. */
  expireDevice(userCode: string): Promise<void>;
  /** Number of refreshes the server granted, those included whose answer a fault destroyed. */
  refreshes(): number;
  /** What the server itself says about an access token. */
  tokenIsActive(token: string): Promise<TokenStatus>;
  /** Whether the server itself would accept a refresh token now. */
  refreshTokenIsActive(token: string): Promise<boolean>;
  /** Forgets all grants of an account: the next refresh answers `invalid_grant`. */
  revokeGrantsOf(account: string): Promise<void>;
  /** Forgets every access token issued so far; the logins live on, so the next refresh works. */
  revokeAccessTokens(): void;
  /** Asks `rule` about every request from now on, in place of the rule before; undefined ends it. */
  fail(rule: FaultRule | undefined): void;
  /** Closes the listener, or opens it again on the same port. */
  setListening(isListening: boolean): Promise<void>;
  /** Stops. Throws when the provider itself crashed on a request in the meantime. */
  close(): Promise<void>;
}

/** Starts a real authorization server (oidc-provider) on loopback, with a memory of its own. */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions = {},
): Promise<AuthorizationServer> {
  const resources: Resources = new Map(Object.entries(options.resources ?? {}));
  const store = createMemoryStore();
  const requests: RecordedRequest[] = [];
  const crashes: unknown[] = [];
  let turn: Promise<void> = Promise.resolve();
  let rule: FaultRule | undefined;
  let provider: OidcProvider | undefined;

  /**
   * Token requests one at a time: oidc-provider looks at a refresh token and consumes it in separate steps, so of
   * several at the same moment all would win. A real server's database does not let that happen.
   */
  function inTurn(work: () => Promise<void> | undefined): Promise<void> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const read = await readRequest(request);
    const recorded = recordRequest(read, request.socket.remotePort ?? 0);
    requests.push(recorded);
    const fault = await rule?.(recorded);
    if (fault && 'destroyBefore' in fault) {
      request.socket.destroy();
      return;
    }
    if (fault && 'status' in fault && !fault.afterProcessing) {
      recorded.status = fault.status;
      sendFault(response, fault);
      return;
    }
    const processed = (status: number, body: unknown) => {
      recorded.status = status;
      if (typeof body === 'string' || Buffer.isBuffer(body)) recorded.answer = parseJson(Buffer.from(body));
    };
    const handle = () => handleRequest(replayRequest(request, forgive(read, resources)), response, recorded);
    if (fault && 'instead' in fault) {
      await fault.instead(response, () => holdBackAnswer(response, handle, processed));
      return;
    }
    answerUnderFault(response, fault, processed);
    await handle();
  }

  async function handleRequest(
    request: IncomingMessage,
    response: ServerResponse,
    recorded: RecordedRequest,
  ): Promise<void> {
    if (!provider) throw new Error('a request came before the provider was ready');
    if (recorded.path.startsWith(INTERACTION_PATH)) {
      await serveConsentPage(provider, request, response, recorded);
    } else if (recorded.grantType === undefined) {
      await provider.callback()(request, response);
    } else {
      await inTurn(() => provider?.callback()(request, response));
    }
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (!request.complete) return; // the caller went away in the middle of its request
      crashes.push(error);
      request.socket.destroy();
    });
  });
  const issuer = await listenOnLoopback(server, options.port);
  provider = await createProvider(issuer, store, resources, options);
  provider.on('server_error', (_ctx, error) => crashes.push(error));
  // What Koa would print to the console. A connection that was destroyed is a fault's doing, or an impatient caller's.
  (provider as EventEmitter).on('error', (error: unknown, context?: { req: IncomingMessage }) => {
    if (!context?.req.socket.destroyed) crashes.push(error);
  });

  return {
    issuer,
    requests,
    allowResource: (resource, scope) => void resources.set(resource, { scope }),
    approve: (authorizationUrl, approveOptions) => approveAt(issuer, authorizationUrl, approveOptions),
    approveDevice: (userCode, approveOptions) => approveDeviceAt(issuer, userCode, approveOptions),
    expireDevice: (userCode) => expireDeviceCode(provider, userCode),
    refreshes: () =>
      requests.filter(({ grantType, status }) => grantType === 'refresh_token' && status === 200).length,
    tokenIsActive: (token) => tokenStatus(provider, token),
    refreshTokenIsActive: (token) => refreshTokenIsActive(provider, token),
    revokeGrantsOf: async (account) => store.revokeGrantsOf(account),
    revokeAccessTokens: () => store.revokeAccessTokens(),
    fail(newRule) {
      rule = newRule;
    },
    setListening: (isListening) => setListening(server, Number(new URL(issuer).port), isListening),
    async close() {
      await closeServer(server);
      if (crashes.length > 0) throw new AggregateError(crashes, 'the authorization server crashed');
    },
  };
}
