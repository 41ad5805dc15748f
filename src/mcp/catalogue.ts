/**
 * What servers say of their tools, for rules that depend on it. Asked for when it is needed, believed for a while, and
 * asked for anew once a server says that something changed, or an operator has accepted what is newer than that.
 */
import type { Caller } from '../broker/context.ts';
import type { UpstreamAccess } from '../broker/gateway.ts';
import type { Broker } from '../broker/index.ts';
import type { Clock } from '../clock.ts';
import type { KnownTools } from './judge-call.ts';
import { listTools } from './list-tools.ts';
import { knownTool } from './tool-digest.ts';
import type { Upstream } from './upstream.ts';

export interface Catalogue {
  /** The tools of a server. Throws `upstream_unavailable` and what else `listTools` throws. */
  toolsOf(caller: Caller, access: UpstreamAccess): Promise<KnownTools>;
  /** Looks whether a message says that the tools have changed. */
  heard(connection: string, message: unknown): void;
}

/** A change nobody told of is noticed after so long. */
const BELIEVED_MS = 60_000;

interface Entry {
  tools: Promise<KnownTools>;
  askedAt: number;
  /** The pins at that time. */
  pins: Pins;
}

type Pins = UpstreamAccess['policy']['server']['pins'];

export function createCatalogue(parts: { broker: Broker; upstream: Upstream; clock: Clock }): Catalogue {
  const { clock } = parts;
  const entries = new Map<string, Entry>();

  async function ask(caller: Caller, access: UpstreamAccess): Promise<KnownTools> {
    const tools = await listTools(parts, caller, access);
    return new Map(tools.map((tool) => [tool.name, knownTool(tool)]));
  }

  return {
    toolsOf(caller, access) {
      const { connection, policy } = access;
      const { pins } = policy.server;
      const before = entries.get(connection);
      const isRecent = before && Math.abs(clock.now() - before.askedAt) < BELIEVED_MS;
      if (isRecent && areSame(before.pins, pins)) return before.tools;
      const entry = { tools: ask(caller, access), askedAt: clock.now(), pins };
      entries.set(connection, entry);
      // Callers that wait for it are told; the next one asks again.
      entry.tools.catch(() => {
        if (entries.get(connection) === entry) entries.delete(connection);
      });
      return entry.tools;
    },
    heard(connection, message) {
      const { method } = (message ?? {}) as { method?: unknown };
      if (method === 'notifications/tools/list_changed') entries.delete(connection);
    },
  };
}

/** Rules are read anew when anything in the vault has changed, and mostly are what they were. */
function areSame(one: Pins, other: Pins): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
