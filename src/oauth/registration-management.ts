/** Looking after a registration: is it still there, renew its secret, take it back (RFC 7592). */
import type { Secret } from '../secret.ts';
import { parseObject } from './failure.ts';
import { type Fetch, requireSafeUrl } from './http.ts';
import { type Registration, readRegistration } from './registration.ts';

/** RFC 7592 §2.2: these must not be sent back. */
const ISSUED_BY_SERVER = new Set([
  'registration_access_token',
  'registration_client_uri',
  'client_secret_expires_at',
  'client_id_issued_at',
]);

/** The place of a registration and what opens it. */
export interface ManagedRegistration extends Pick<Registration, 'clientId' | 'authMethod'> {
  registrationClientUri: string;
  registrationAccessToken: Secret;
}

/** `gone`: the server does not know it any more. `unknown`: it did not say, or not in a way we understand. */
export type RegistrationState =
  | { kind: 'there'; registration: Registration; metadata: Record<string, unknown> }
  | { kind: 'gone' | 'unknown' };

/**
 * Reads the registration. What is answered replaces what was known: the server may have issued another secret or
 * another access token for it. Never throws.
 *
 * @see RFC 7592 §2.1
 */
export function readManaged(managed: ManagedRegistration, fetch: Fetch): Promise<RegistrationState> {
  return call(managed, fetch, { method: 'GET' });
}

/**
 * Asks for the same registration again, which servers with ending secrets answer with a new one. Never throws.
 *
 * @param metadata as the server answered it last
 *
 * @see RFC 7592 §2.2
 */
export function renewManaged(
  managed: ManagedRegistration,
  metadata: Record<string, unknown>,
  fetch: Fetch,
): Promise<RegistrationState> {
  const asked = Object.entries(metadata).filter(([name]) => !ISSUED_BY_SERVER.has(name));
  const body = JSON.stringify({ ...Object.fromEntries(asked), client_id: managed.clientId });
  return call(managed, fetch, { method: 'PUT', body });
}

/** Deletes the registration. False when the server did not do it. @see RFC 7592 §2.3 */
export async function deleteManaged(
  { registrationClientUri, registrationAccessToken }: ManagedRegistration,
  fetch: Fetch,
): Promise<boolean> {
  try {
    requireSafeUrl(registrationClientUri);
    const headers = { authorization: `Bearer ${registrationAccessToken.reveal()}` };
    const { status } = await fetch(registrationClientUri, { method: 'DELETE', headers });
    return status === 204 || status === 200 || status === 404;
  } catch {
    return false;
  }
}

async function call(
  { clientId, authMethod, registrationClientUri, registrationAccessToken }: ManagedRegistration,
  fetch: Fetch,
  { method, body }: { method: string; body?: string },
): Promise<RegistrationState> {
  try {
    requireSafeUrl(registrationClientUri);
    const response = await fetch(registrationClientUri, {
      method,
      body,
      headers: {
        authorization: `Bearer ${registrationAccessToken.reveal()}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    // 401: the token ended with the registration (RFC 7592 §2.1).
    if ([401, 403, 404, 410].includes(response.status)) return { kind: 'gone' };
    const answer = response.status === 200 ? parseObject(await response.text()) : undefined;
    return answer?.client_id === clientId
      ? { kind: 'there', registration: readRegistration(answer, authMethod), metadata: answer }
      : { kind: 'unknown' };
  } catch {
    return { kind: 'unknown' };
  }
}
