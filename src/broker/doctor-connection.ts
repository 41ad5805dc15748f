/**
 * Examines one connection, from its server's metadata to a call with its token. Nothing is spent: no refresh, no
 * registration, no login.
 */

import { findingFor } from '../core/check-policy.ts';
import { enteringCommand, isRenewable } from '../core/connection.ts';
import { describeKind, isStatic } from '../core/credential-kind.ts';
import {
  clockAgainstServers,
  failed,
  failedBy,
  fine,
  type Outcome,
  type Step,
  scopeCommand,
  skipped,
  together,
  warning,
} from '../core/diagnosis.ts';
import { isAlive } from '../core/refresh-policy.ts';
import { printable } from '../errors.ts';
import { type ProbeAnswer, probeEventStream, probeInitialize } from '../oauth/probe.ts';
import type { StoredConnection } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import { DEFAULT_WARN_WITHIN_MS } from './check.ts';
import { timestamp } from './connections.ts';
import { type ClientFindings, examineClient } from './doctor-client.ts';
import { examineProgram } from './doctor-program.ts';
import { type Doctor, examineServer, type ServerFindings, watchClocks } from './doctor-server.ts';
import type { Patient } from './doctor-target.ts';
import { type AskTools, examineTools, wayTo } from './doctor-tools.ts';

/** A doctor with an open vault. */
export interface ConnectionDoctor extends Doctor {
  vault: Vault;
  /** By row id: connections may share a client, and two at once would find its port taken by the other. */
  clients: Map<string | null, Promise<ClientFindings>>;
  /** Undefined: nobody looks at tools. */
  askTools: AskTools | undefined;
}

/** The steps of a connection, from `clock` on. All that ask somebody do it at the same time. */
export async function examineConnection(doctor: ConnectionDoctor, patient: Patient): Promise<Step[]> {
  const { stored, server } = patient;
  if (server.url === null) return examineProgram(doctor, patient);
  const watch = watchClocks(doctor);
  const watching = { ...doctor, fetchFor: watch.fetchFor };
  const client = clientOf(watching, patient);
  const [{ registration, redirect }, { discovery, isIdentity }, call] = await Promise.all([
    client,
    client.then(({ issuer }) => examineDiscovery(watching, patient, issuer)),
    examineInitialize(watching, patient),
  ]);
  const initialize = isIdentity ? skipped('it tells who somebody is: there is no MCP server to call') : call;
  const tools =
    doctor.askTools && initialize.verdict === 'ok'
      ? await examineTools(watching, patient, doctor.askTools)
      : undefined;
  return [
    { step: 'clock', ...clockAgainstServers(watch.skews) },
    { step: 'discovery', ...discovery },
    { step: 'registration', ...registration },
    { step: 'redirect', ...redirect },
    { step: 'token', ...examineToken(stored, doctor.clock.now()) },
    { step: 'initialize', ...initialize },
    ...(tools ? [{ step: 'tools' as const, ...tools }] : []),
  ];
}

function clientOf(doctor: ConnectionDoctor, patient: Patient): Promise<ClientFindings> {
  const { clients } = doctor;
  const id = patient.stored.clientRowId;
  const known = clients.get(id);
  if (known) return known;
  const findings = examineClient(doctor, patient).catch((error: unknown) => {
    const broken = failedBy(error);
    return { registration: broken, redirect: skipped('our client could not be read'), issuer: undefined };
  });
  clients.set(id, findings);
  return findings;
}

async function examineDiscovery(
  doctor: ConnectionDoctor,
  patient: Patient,
  issuer: string | undefined,
): Promise<{ discovery: Outcome; isIdentity: boolean }> {
  const { stored, server } = patient;
  if (isStatic(stored.kind) || server.settings.grant?.kind === 'forward')
    return { discovery: skipped('nobody signs in to this server'), isIdentity: false };
  const findings = await examineServer(doctor, server.url ?? '', server.settings, issuer);
  const isIdentity = stored.kind === 'oauth' && findings.found?.isIdentity === true;
  return { discovery: sameAsAtLogin(findings, patient, issuer), isIdentity };
}

/** Whether a login today would be one at the same place as the present one. */
function sameAsAtLogin(
  { found, outcome }: ServerFindings,
  { stored, server }: Patient,
  issuer: string | undefined,
): Outcome {
  if (!found) return outcome;
  const { metadata, resource } = found;
  const moved =
    issuer !== undefined && metadata.issuer !== issuer
      ? `the server names another authorization server now (the login is from ${printable(issuer)})`
      : resource !== server.resource
        ? `the server names itself otherwise now (the login is for ${printable(server.resource)})`
        : undefined;
  if (moved === undefined) return outcome;
  return together(warning(moved, enteringCommand(stored)), outcome);
}

/** As `broker check` judges it, and what there is. */
function examineToken(stored: StoredConnection, now: number): Outcome {
  const { accessExpiresAt: endsAt, hasRefreshToken } = stored;
  const { code, message, nextStep } = findingFor(stored, null, now, DEFAULT_WARN_WITHIN_MS);
  const ends =
    endsAt === null ? 'its end is not known' : `${endsAt > now ? 'ends' : 'ended'} ${timestamp(endsAt)}`;
  const facts = isStatic(stored.kind)
    ? `${describeKind(stored.kind)}${stored.kind === 'none' ? '' : `; ${ends}`}`
    : `access token ${ends}, ${hasRefreshToken ? 'with' : 'no'} refresh token`;
  if (code === 0) return fine(facts);
  const outcome = warning(`${message} (${facts})`, nextStep ?? undefined);
  if (code === 1) return outcome;
  return { ...outcome, verdict: 'failed', code: code === 75 ? 'upstream_unavailable' : codeOf(stored) };
}

/** A connection that is only too old for a token needs a login too. */
function codeOf({ state }: StoredConnection) {
  return state === 'client_invalid' || state === 'config_error' ? state : 'login_required';
}

async function examineInitialize(doctor: ConnectionDoctor, patient: Patient): Promise<Outcome> {
  const { stored, server } = patient;
  if (!isAlive(stored, doctor.clock.now())) {
    const refresh = isRenewable(stored) && stored.state !== 'login_required';
    return skipped(
      'there is no token that lives, and a doctor gets none',
      refresh ? `broker refresh ${stored.name}` : undefined,
    );
  }
  const { grant } = server.settings;
  if (stored.derivedFrom !== undefined && grant?.kind === 'exchange')
    return skipped('no token was exchanged for it yet', `broker token ${stored.name}`);
  try {
    const { credential, fetch } = await wayTo(doctor, patient);
    const ask = server.settings.transport === 'sse' ? probeEventStream : probeInitialize;
    const answer = await ask(server.url ?? '', credential, fetch);
    return judge(answer, patient);
  } catch (error) {
    return failedBy(error);
  }
}

function judge(answer: ProbeAnswer, { stored, server }: Patient): Outcome {
  const { name, scope } = stored;
  switch (answer.kind) {
    case 'initialized':
      return fine(`${answer.server ?? 'a server that does not tell its name'} accepts the token`);
    case 'not_initialized':
      return warning(
        `the token was let in, but the call was answered with an error: ${answer.told}`,
        `if tools fail too: ${isRenewable(stored) ? `broker refresh ${name}` : enteringCommand(stored)}`,
      );
    case 'token_refused':
      if (stored.kind === 'none') {
        return failed(
          `the server wants a credential after all (${answer.told})`,
          `broker add ${name} --bearer-file <file>, or --header <name> --value-file <file>\n` +
            `to sign in instead: broker logout ${name}; broker login ${server.url} --name ${name}`,
        );
      }
      return failed(
        `the server refuses the token (${answer.told})`,
        isRenewable(stored) ? `broker refresh ${name}` : enteringCommand(stored),
      );
    case 'insufficient_scope':
      return failed(
        `the scope of the login is too small: ${printable(scope ?? 'not told')}; wanted: ${printable(answer.scope ?? 'not told')}`,
        scopeCommand(stored, scope ?? server.settings.scopes.join(' '), answer.scope),
      );
    case 'unavailable':
      return failed(
        `${server.url} is out of order (${answer.told})`,
        'try again later',
        'upstream_unavailable',
      );
    case 'refused':
      return failed(
        `${server.url} does not answer like an MCP server (${answer.told})`,
        'check the URL: it must be the MCP endpoint itself\nsee the step discovery',
      );
  }
}
