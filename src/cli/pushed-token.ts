/** What an outside store gets: an access token and its end, never what could renew it. */
import type { TokenView } from '../broker/token-view.ts';
import { TOKEN_VARIABLE } from '../core/runtimes.ts';
import { BrokerError } from '../errors.ts';
import type { Target } from './credentials.ts';

export const FORMATS = ['json', 'token', 'env'] as const;
export type Format = (typeof FORMATS)[number];

/** Longest life of what counts as short-lived: a day is usual, a week is the longest that vendors call so. */
const SHORT_LIFE_SECONDS = 7 * 86_400;

/** Throws `usage` for a token that lives long or nobody knows how long: a copy of it cannot be called back. */
export function requireShortLived({ connection, expires_in }: TokenView): void {
  if (expires_in !== undefined && expires_in <= SHORT_LIFE_SECONDS) return;
  const why = expires_in === undefined ? 'has no known end' : 'lives for more than a week';
  throw new BrokerError('usage', `the token of ${connection} ${why}, so its copies would outlive their use`, {
    hint: 'add --allow-long-lived if that store may keep it; broker exec hands it to a single program',
  });
}

/** The token as text for a file or for stdin, with a line break at the end. Throws `usage` for `env`, see there. */
export function formatToken(format: Format, token: TokenView, { url }: Target): string {
  switch (format) {
    case 'token':
      return `${token.access_token}\n`;
    case 'env':
      return envFile(token, url);
    case 'json': {
      // How many seconds are left is wrong by the time somebody reads it.
      const { expires_in, warnings, ...rest } = token;
      return `${JSON.stringify({ ...rest, ...(url === undefined ? {} : { server_url: url }) }, null, 2)}\n`;
    }
  }
}

/** Read by shells, systemd and Docker, whose quoting differs: so only what needs none. */
function envFile(token: TokenView, url: string | undefined): string {
  const variables = {
    [TOKEN_VARIABLE]: token.access_token,
    MCP_TOKEN_EXPIRES_AT: token.expires_at,
    MCP_SERVER_URL: url,
  };
  const lines = Object.entries(variables).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const odd = lines.find(([, value]) => !/^[\w.~+/=:@%,?-]+$/.test(value));
  if (!odd) return lines.map(([name, value]) => `${name}=${value}\n`).join('');
  throw new BrokerError(
    'usage',
    `${odd[0]} of ${token.connection} has characters that need quoting in an env file`,
    {
      hint: 'take --format json or --format token',
    },
  );
}
