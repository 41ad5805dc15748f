/** Codes as labels of metrics: servers invent words, and each would be a series that stays. */

const KNOWN = new Set([
  // RFC 6749 §5.2, RFC 8707, and what the broker finds out itself.
  ...['invalid_grant', 'invalid_client', 'unauthorized_client', 'invalid_request', 'invalid_scope'],
  ...['invalid_target', 'unsupported_grant_type', 'server_error', 'temporarily_unavailable'],
  ...['upstream_unavailable', 'config_error', 'unsupported_token_type'],
  // Of the network and the libraries below us.
  ...['timeout', 'no_answer', 'tls_failed', 'econnrefused', 'econnreset', 'enotfound'],
  ...['eai_again', 'eai_nodata', 'eai_fail', 'und_err_res_content_length_mismatch'],
  ...['ehostunreach', 'enetunreach', 'etimedout', 'epipe', 'eproto', 'und_err_socket'],
  ...['und_err_connect_timeout', 'und_err_headers_timeout', 'und_err_body_timeout'],
]);

const HTTP_STATUS = /^http_[1-5]\d\d(_not_json)?$/;

/** The code, or `other`. Empty: there is none. */
export function boundedCode(code: string | undefined): string {
  if (code === undefined) return '';
  return KNOWN.has(code) || HTTP_STATUS.test(code) ? code : 'other';
}
