/**
 * What commands hand out, through either door: the daemon for whoever has an agent key, else the vault, which the
 * operator opens.
 */
import { OPERATOR } from '../broker/context.ts';
import type { Broker } from '../broker/index.ts';
import type { TokenView } from '../broker/token-view.ts';
import type { TokenQuery } from '../broker/tokens.ts';
import { callDaemon } from './daemon-client.ts';
import { asOperator, type Session } from './session.ts';

/** A connection as far as it concerns those who use its token. */
export interface Target {
  name: string;
  /** URL of the MCP server. Undefined: it has none, or the daemon does not tell. */
  url?: string;
  /** What it is made of. Undefined: the daemon does not tell. */
  kind?: string;
}

/** A fresh token. Throws as `broker.token` does, and what `callDaemon` throws. */
export async function fetchToken(session: Session, name: string, query: TokenQuery = {}): Promise<TokenView> {
  const { minTtlSeconds, rejectedGeneration } = query;
  return through(
    session,
    (call) =>
      call('POST', pathOf(name, '/token'), {
        ...(minTtlSeconds === undefined ? {} : { min_ttl: minTtlSeconds }),
        ...(rejectedGeneration === undefined ? {} : { rejected_generation: rejectedGeneration }),
      }),
    async (broker) => {
      const { toTokenView } = await import('../broker/token-view.ts');
      return toTokenView(await broker.token(OPERATOR, name, query), Date.now());
    },
  );
}

/** A fresh token and whom it is for. */
export async function fetchTokenAndTarget(
  session: Session,
  name: string,
  query: TokenQuery = {},
): Promise<{ token: TokenView; target: Target }> {
  if (session.settings.agentKey) {
    const token = await fetchToken(session, name, query);
    return { token, target: await fetchTarget(session, name) };
  }
  const { toTokenView } = await import('../broker/token-view.ts');
  return asOperator(session, { create: false }, async (broker) => ({
    token: toTokenView(await broker.token(OPERATOR, name, query), Date.now()),
    target: await broker.show(OPERATOR, name),
  }));
}

/** Whom a token is for. Throws `not_found`. */
export async function fetchTarget(session: Session, name: string): Promise<Target> {
  return through(
    session,
    (call) => call('GET', pathOf(name)),
    (broker) => broker.show(OPERATOR, name),
  );
}

/** The headers to send, and what else there is to say. */
export async function fetchHeaders(
  session: Session,
  name: string,
  { minTtlSeconds }: Pick<TokenQuery, 'minTtlSeconds'> = {},
): Promise<{ headers: Record<string, string>; warnings: string[] }> {
  const query = minTtlSeconds === undefined ? '' : `?min_ttl=${minTtlSeconds}`;
  return through(
    session,
    async (call) => ({ headers: await call('GET', pathOf(name, `/headers${query}`)), warnings: [] }),
    async (broker) => {
      const { toHeadersView } = await import('../broker/headers.ts');
      const { headers, warnings } = await broker.headers(OPERATOR, name, { minTtlSeconds });
      return { headers: toHeadersView(headers), warnings };
    },
  );
}

type Call = <T>(method: 'GET' | 'POST', path: string, body?: unknown) => Promise<T>;

async function through<T>(
  session: Session,
  asAgent: (call: Call) => Promise<T>,
  work: (broker: Broker) => Promise<T>,
): Promise<T> {
  const { agentKey, daemonUrl, caFile } = session.settings;
  if (!agentKey) return asOperator(session, { create: false }, work);
  return asAgent((method, path, body) => callDaemon({ agentKey, daemonUrl, caFile }, method, path, body));
}

function pathOf(name: string, rest = ''): string {
  return `/v1/connections/${encodeURIComponent(name)}${rest}`;
}
