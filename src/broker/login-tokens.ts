/** What a token endpoint answered to the code of a login. */
import { isBearer, readTokenSet, type TokenSet } from '../core/token-set.ts';
import { BrokerError, quote } from '../errors.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { TokenAnswer } from '../oauth/token-request.ts';

/** The token set of the answer. Throws `upstream_unavailable`, `login_refused`, `config_error`. */
export function readTokens(
  answer: TokenAnswer,
  metadata: ServerMetadata,
  now: number,
  askedScope: string | undefined,
): TokenSet {
  if (answer.kind !== 'answer' || (answer.body === undefined && answer.status >= 500)) {
    const code = answer.kind === 'answer' ? answer.status : answer.code;
    throw new BrokerError('upstream_unavailable', `${metadata.token_endpoint} did not answer (${code})`, {
      hint: 'a code can be used only once: run the login again',
    });
  }
  const error = answer.body?.error;
  const isGranted = error === undefined && answer.status >= 200 && answer.status < 300;
  const tokens = isGranted ? readTokenSet(answer.body ?? {}, now) : undefined;
  if (!tokens) {
    const reason = typeof error === 'string' ? quote(error) : `status ${answer.status} and no token`;
    const words =
      typeof answer.body?.error_description === 'string' ? `: ${quote(answer.body.error_description)}` : '';
    throw new BrokerError(
      'login_refused',
      `${metadata.issuer} did not issue a token, but ${reason}${words}`,
      {
        hint: 'nothing was changed; run the login again',
      },
    );
  }
  if (!isBearer(tokens.tokenType)) {
    throw new BrokerError(
      'config_error',
      `${metadata.issuer} issued a token of type ${quote(tokens.tokenType ?? '')}`,
      {
        hint: 'agents can use Bearer tokens only; ask its operator not to bind tokens to a key for this client',
      },
    );
  }
  // RFC 6749 §5.1: a scope that is not told is the one that was asked for.
  return { ...tokens, scope: tokens.scope ?? askedScope };
}
