import type { RawAnswer } from '../support/raw-server.ts';

/** A JSON object. */
export type Document = Record<string, unknown>;

/** The metadata of an odd server (RFC 8414) before anything is odd about it. */
export function metadataOf(url: string): Document {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    registration_endpoint: `${url}/register`,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    authorization_response_iss_parameter_supported: true,
  };
}

/** The same as an answer, for a place of its own. */
export function documentAnswer(url: string, changes: Document = {}): RawAnswer {
  return { status: 200, body: { ...metadataOf(url), ...changes } };
}
