/** What is known about a server that many people connect. */
import type { ServerSettings } from './server-settings.ts';

export interface Preset {
  /** What a login calls it, and the name its connection gets. */
  name: string;
  /** MCP endpoints of this one server, to the letter; the first is used for a login by name. */
  urls: readonly [string, ...string[]];
  /** Settings of a first login, unless options say otherwise. */
  settings: Partial<ServerSettings>;
  /** What to know before signing in: one sentence each, told when a login begins. */
  notes: readonly string[];
  /** Where the server registers no clients, or not us: what to create at the vendor, and where. One sentence. */
  needsClient?: string;
  /** Where this is known from: URLs, and issues as `owner/repository#number`. */
  sources: readonly [string, ...string[]];
}
