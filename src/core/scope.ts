/** Words of a scope (RFC 6749 §3.3). Anything else is none, whatever a server calls it. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

/** Whether this is one scope, harmless to show and to send. */
export function isScopeToken(text: string): boolean {
  return SCOPE_TOKEN.test(text);
}
