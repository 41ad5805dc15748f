import type { AuthorizationServer } from './authorization-server.ts';

/** Fields of requests and answers that hold a secret. */
const SECRET_FIELDS = [
  'access_token',
  'refresh_token',
  'id_token',
  'token',
  'code',
  'code_verifier',
  'client_secret',
  'registration_access_token',
];

/**
 * Every secret that passed through an authorization server so far: what it was sent, and what it answered. Each is
 * there once, with the field it first came in.
 */
export function secretsSeenBy({ requests }: AuthorizationServer): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const { form, json, answer } of requests) {
    for (const source of [form, json, answer]) {
      for (const field of SECRET_FIELDS) {
        const value = (source as Record<string, unknown> | undefined)?.[field];
        if (typeof value === 'string' && value !== '' && !secrets.has(value)) secrets.set(value, field);
      }
    }
  }
  return secrets;
}
