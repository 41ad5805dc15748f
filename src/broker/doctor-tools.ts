/** Whether the tools that rules name are there: a slip of the pen would be a rule without effect. */

import { isStatic } from '../core/credential-kind.ts';
import { fine, type Outcome, skipped, warning } from '../core/diagnosis.ts';
import { type CredentialHeaders, headersOf } from '../core/token-set.ts';
import { BrokerError, quote } from '../errors.ts';
import type { Fetch } from '../oauth/http.ts';
import { openTokenSet } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import type { Doctor } from './doctor-server.ts';
import type { Patient } from './doctor-target.ts';
import { readRules, unknownIn } from './tool-rules.ts';

/** Asks a server for its tools, one request sent at a time. Throws `upstream_unavailable`. */
export type AskTools = (server: {
  connection: string;
  url: string;
  send(init: RequestInit, signal: AbortSignal): Promise<Response>;
}) => Promise<readonly { name: string }[]>;

/** How a doctor gets to the server: with the credential as it is. */
export async function wayTo(
  { vault, fetchFor }: Doctor & { vault: Vault },
  { stored, server }: Patient,
): Promise<{ credential: CredentialHeaders; fetch: Fetch }> {
  const { grant, network } = server.settings;
  const credential = headersOf(await openTokenSet(vault.sealer, stored));
  // Where nothing is discovered, nothing was learned of the network: an operator typed the URL.
  const isTyped = isStatic(stored.kind) || grant?.kind === 'forward';
  return { credential, fetch: fetchFor(isTyped ? 'private' : network) };
}

/** Undefined: no rule names a tool. To be called for a server that has let the credential in. */
export async function examineTools(
  doctor: Doctor & { vault: Vault },
  patient: Patient,
  askTools: AskTools,
): Promise<Outcome | undefined> {
  const { name: connection } = patient.stored;
  const rules = await doctor.vault.run(() => readRules(connection, doctor.clock.now()));
  if (unknownIn(rules, [], undefined).length === 0) return undefined;
  try {
    const tools = await ask(doctor, patient, askTools);
    const [first, ...more] = unknownIn(rules, tools, undefined);
    if (!first) return fine('the tools that rules name are there');
    const whose = first.agent === null ? 'a rule of the server' : `a rule of agent ${first.agent}`;
    const others = more.length > 0 ? ` (and ${more.length} more)` : '';
    return warning(
      `${whose} names a tool that is not there: ${quote(first.pattern)}${others}`,
      `broker tools ${connection}`,
    );
  } catch (error) {
    if (error instanceof BrokerError) return skipped(error.message);
    throw error;
  }
}

async function ask(
  doctor: Doctor & { vault: Vault },
  patient: Patient,
  askTools: AskTools,
): Promise<string[]> {
  const url = patient.server.url ?? '';
  const { credential, fetch } = await wayTo(doctor, patient);
  const revealed = Object.fromEntries(credential.map(([name, value]) => [name, value.reveal()]));
  const tools = await askTools({
    connection: patient.stored.name,
    url,
    send: ({ method, headers, body }, signal) =>
      fetch(url, {
        ...{ method, signal, body: typeof body === 'string' ? body : undefined },
        headers: { ...Object.fromEntries(new Headers(headers)), ...revealed },
      }),
  });
  return tools.map(({ name }) => name);
}
