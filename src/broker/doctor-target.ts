/** What somebody means by `broker doctor X`: connections there are, or a server that is not connected. */
import { parseConnectionName } from '../core/names.ts';
import { findPreset, findPresetByUrl, type Preset } from '../core/presets.ts';
import { BrokerError } from '../errors.ts';
import { isSafeUrl } from '../oauth/http.ts';
import { listConnections, type StoredConnection } from '../vault/connections.ts';
import type { Vault } from '../vault/index.ts';
import { findServer, type Server } from '../vault/servers.ts';
import { listDerived } from './identity.ts';

/** The words, before anybody looks whether that is connected. */
export interface DoctorTarget {
  words: string;
  /** Where it is, for a URL or a preset. */
  url: string | undefined;
  preset: Preset | undefined;
}

/** A connection and its server. */
export interface Patient {
  stored: StoredConnection;
  server: Server;
}

/** Throws `usage` for what is neither a name nor a URL of a server. */
export function readDoctorTarget(words: string): DoctorTarget {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(words)) {
    const url = URL.parse(words);
    if (url) url.hash = '';
    if (!url || !isSafeUrl(url.href)) throw noTarget(words, 'is not the URL of an MCP server');
    return { words, url: url.href, preset: findPresetByUrl(url.href) };
  }
  if (!parseConnectionName(words)) throw noTarget(words, 'is no connection name');
  const preset = findPreset(words);
  return { words, url: preset?.urls[0], preset };
}

function noTarget(words: string, why: string): BrokerError {
  return new BrokerError('usage', `${JSON.stringify(words)} ${why}`, {
    hint: 'give the name of a connection, an https:// URL without user name, or a preset; or nothing, for all connections',
  });
}

/** Connections of this name, server, URL or preset; all without a target. */
export async function findPatients(vault: Vault, target: DoctorTarget | undefined): Promise<Patient[]> {
  const all = await vault.run(function* () {
    const patients: Patient[] = [];
    for (const stored of [...(yield* listConnections()), ...(yield* listDerived())]) {
      const server = yield* findServer(stored.server);
      if (server) patients.push({ stored, server });
    }
    return patients.sort((one, other) => (one.stored.name < other.stored.name ? -1 : 1));
  });
  if (!target) return all;
  const named = all.filter(({ stored }) => [stored.name, stored.server].includes(target.words));
  if (named.length > 0) return named;
  const urls: readonly string[] = target.preset?.urls ?? [];
  return all.filter(({ server: { url } }) => url !== null && (url === target.url || urls.includes(url)));
}
