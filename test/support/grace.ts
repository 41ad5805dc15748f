import type { TokenEndpointAnswer } from './hostile-grants.ts';
import type { RecordedRequest } from './recorded-request.ts';

/**
 * Answers a used refresh token with the pair that was issued for it, as a server does that knows of lost
 * answers. oidc-provider does not. A fault rule for the one whose `requests` these are, or a part of one.
 */
export function inGrace(
  requests: readonly RecordedRequest[],
): (request: Pick<RecordedRequest, 'grantType' | 'form'>) => TokenEndpointAnswer | undefined {
  const used = (token = '') =>
    requests.find(({ form, status, answer }) => status === 200 && answer && form?.refresh_token === token);
  return ({ grantType, form }) => {
    const earlier = grantType === 'refresh_token' ? used(form?.refresh_token) : undefined;
    return earlier && { status: 200, body: earlier.answer as Record<string, unknown> };
  };
}
