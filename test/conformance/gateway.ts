/**
 * Sends an agent's messages with the connection's token, and does about a refusal what a gateway and its operator
 * would: first ask the broker for a newer token, then sign in again, with more scopes where the server wants more.
 */
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { GrantedToken } from '../../src/broker/tokens.ts';
import { BrokerError } from '../../src/errors.ts';
import type { Message, Send } from './mcp-calls.ts';
import type { Connect } from './set-up.ts';

/** More would be a loop: whoever was asked three times has answered. */
const MAX_SIGN_INS = 3;

const REQUEST_TIMEOUT_MS = 10_000;

/** @param connect obtains the connection `name`, and may be called again; the first time counts as a sign-in too */
export async function openGateway(
  broker: Broker,
  name: string,
  url: string,
  connect: Connect,
): Promise<Send> {
  let signIns = 0;
  async function signIn(scopes: string[]): Promise<GrantedToken> {
    signIns += 1;
    await connect(scopes);
    return broker.token(OPERATOR, name);
  }

  let token = await signIn([]);
  return async (message) => {
    let response = await post(url, message, token);
    const newer = response.status === 401 ? await newerToken(broker, token) : undefined;
    if (newer) {
      token = newer;
      response = await post(url, message, token);
    }
    while (response.status === 401 || response.status === 403) {
      if (signIns === MAX_SIGN_INS) throw refused(response, `after ${MAX_SIGN_INS} sign-ins`);
      token = await signIn(await scopesFor(broker, name, response));
      response = await post(url, message, token);
    }
    return response;
  };
}

/** What to ask for at the next sign-in. None after a 401: what the server suggests then. */
async function scopesFor(broker: Broker, name: string, response: Response): Promise<string[]> {
  if (response.status === 401) return [];
  const wwwAuthenticate = response.headers.get('www-authenticate') ?? '';
  const wanted = await broker.stepUp(OPERATOR, name, { status: response.status, wwwAuthenticate });
  if (!wanted) throw refused(response, 'and no other scope would help');
  return wanted.scopes;
}

function refused({ status, headers }: Response, circumstance: string): Error {
  const challenge = headers.get('www-authenticate') ?? 'no challenge';
  return new Error(`the MCP server refuses the token ${circumstance}: ${status}, ${challenge}`);
}

/** Undefined when the broker has none, or says that a newer one would be refused too. */
async function newerToken(broker: Broker, rejected: GrantedToken): Promise<GrantedToken | undefined> {
  try {
    const token = await broker.token(OPERATOR, rejected.connection, {
      rejectedGeneration: rejected.generation,
    });
    return token.generation === rejected.generation ? undefined : token;
  } catch (error) {
    if (error instanceof BrokerError) return undefined;
    throw error;
  }
}

function post(url: string, { headers, body }: Message, { accessToken }: GrantedToken): Promise<Response> {
  const authorization = `Bearer ${accessToken.reveal()}`;
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  return fetch(url, { method: 'POST', headers: { ...headers, authorization }, body, signal });
}
