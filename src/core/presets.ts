/**
 * Servers people connect most, with what is known to be odd about them. Data only: a preset saves typing and names its
 * sources; nothing works for a preset that an option could not do for any other server.
 */
import type { ServerSettings } from './server-settings.ts';

export interface Preset {
  /** What a login calls it, and the name its connection gets. */
  name: string;
  /** MCP endpoints, to the letter; the first is used for a login by name. */
  urls: readonly [string, ...string[]];
  /** Settings of a first login, unless options say otherwise. */
  settings: Partial<ServerSettings>;
  /** What to know before signing in: one sentence each, told when a login begins. */
  notes: readonly string[];
  /** Where this is known from. */
  sources: readonly string[];
}

export const PRESETS: readonly Preset[] = [
  {
    name: 'coda',
    urls: ['https://coda.io/apis/mcp', 'https://docs.superhuman.com/apis/mcp'],
    settings: { scopes: ['mcp:all'] },
    notes: ['the client secret ends 180 days after the first login; broker check warns before'],
    sources: ['https://help.coda.io/hc/en-us/articles/44722769665549', 'cursor/plugins#259'],
  },
];

/** The preset of this name. */
export function findPreset(name: string): Preset | undefined {
  return PRESETS.find((each) => each.name === name);
}

/** The preset for this URL. */
export function findPresetByUrl(url: string): Preset | undefined {
  return PRESETS.find(({ urls }) => urls.includes(url));
}
