/**
 * Examines a server as a login would meet it, up to the point where a login would register: discovery by the very
 * same code, and the clocks of all that answered.
 */
import type { Clock } from '../clock.ts';
import { type BearerChallenge, readBearerChallenge } from '../core/challenge.ts';
import {
  failedBy,
  fine,
  type Outcome,
  type RegistrationWay,
  registrationWay,
  type Skew,
} from '../core/diagnosis.ts';
import type { ServerSettings } from '../core/server-settings.ts';
import { printable } from '../errors.ts';
import type { FetchFor } from '../oauth/http.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import { findClientsByIssuer } from '../vault/clients.ts';
import type { Vault } from '../vault/index.ts';
import { type Discovered, discover } from './login-discovery.ts';
import { createMetadataSource } from './metadata.ts';

/** All requests of a discovery together: nobody should wait for a dead network. */
const DISCOVERY_DEADLINE_MS = 8_000;

/** What a doctor works with. */
export interface Doctor {
  clock: Clock;
  fetchFor: FetchFor;
  /** Undefined: there is none, or it does not open. */
  vault: Vault | undefined;
}

export interface ServerFindings {
  /** Undefined: it failed. */
  found: Discovered | undefined;
  outcome: Outcome;
  /** How a login would get a client. Undefined: nobody knows. */
  way: RegistrationWay | undefined;
}

/** What the clocks of servers said so far, and a `fetch` that looks at them. */
export interface ClockWatch {
  fetchFor: FetchFor;
  skews: Skew[];
}

/** Looks at the `Date` of each answer. */
export function watchClocks({ fetchFor, clock }: Pick<Doctor, 'fetchFor' | 'clock'>): ClockWatch {
  const skews: Skew[] = [];
  return {
    skews,
    fetchFor: (network) => async (url, init) => {
      const askedAt = clock.now();
      const response = await fetchFor(network)(url, init);
      const ms = skewOf(response.headers, askedAt, clock.now());
      if (ms !== undefined) skews.push({ ms, host: new URL(url).host });
      return response;
    },
  };
}

/** The least skew that explains the answer: its `Date` has whole seconds, and was written while we waited. */
function skewOf(headers: Headers, askedAt: number, answeredAt: number): number | undefined {
  const date = Date.parse(headers.get('date') ?? '');
  // What comes from a cache is as old as it says (RFC 9111 §5.1).
  if (Number.isNaN(date) || headers.has('age')) return undefined;
  const least = askedAt - (date + 1000);
  const most = answeredAt - date;
  if (least <= 0 && most >= 0) return 0;
  return least > 0 ? least : most;
}

/**
 * Discovers. Nothing is remembered of it.
 *
 * @param knownIssuer issuer of the connection's present login
 */
export async function examineServer(
  doctor: Doctor,
  url: string,
  settings: ServerSettings,
  knownIssuer: string | undefined,
): Promise<ServerFindings> {
  let status = 0;
  let challenge: BearerChallenge | undefined;
  const fetchFor: FetchFor = (network) => async (at, init) => {
    const response = await doctor.fetchFor(network)(at, init);
    if (init?.method === 'POST') {
      status = response.status;
      challenge = readBearerChallenge(response.headers.get('www-authenticate') ?? '');
    }
    return response;
  };
  const forgetful = { get: async () => undefined, set: async () => {}, delete: async () => {} };
  // All a discovery needs; there may be no vault to make the rest of it from.
  const context = { fetchFor, metadata: createMetadataSource(forgetful, fetchFor) };
  try {
    const signal = AbortSignal.timeout(DISCOVERY_DEADLINE_MS);
    const found = await discover(context, url, settings, {
      knownIssuer,
      signal,
      byBrowser: knownIssuer === undefined,
    });
    const way = await wayOf(doctor.vault, found.metadata);
    return { found, way, outcome: fine(describe(found, status, challenge, way)) };
  } catch (error) {
    return { found: undefined, way: undefined, outcome: failedBy(error) };
  }
}

async function wayOf(vault: Vault | undefined, metadata: ServerMetadata): Promise<RegistrationWay> {
  const known = vault ? await vault.run(() => findClientsByIssuer(metadata.issuer)) : [];
  return registrationWay(
    known.map(({ source }) => source),
    {
      takesDocuments: metadata.client_id_metadata_document_supported === true,
      registers: metadata.registration_endpoint !== undefined,
    },
  );
}

function describe(
  { metadata, resource }: Discovered,
  status: number,
  challenge: BearerChallenge | undefined,
  way: RegistrationWay,
): string {
  const pkce = metadata.code_challenge_methods_supported?.includes('S256') ? 'announced' : 'assumed';
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic (by default)'];
  return [
    `${status} ${challenged(challenge)}`,
    `resource ${printable(resource)}`,
    `issuer ${printable(metadata.issuer)}`,
    `PKCE ${pkce}`,
    `client authentication ${printable([methods].flat().join(' '))}`,
    `registration ${way}`,
  ].join(', ');
}

function challenged(challenge: BearerChallenge | undefined): string {
  if (challenge === undefined) return 'without a challenge';
  return challenge.resourceMetadata.length > 0 ? 'that names its metadata' : 'with a bare challenge';
}
