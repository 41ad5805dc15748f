/** How one server differs from what servers usually do. Set at a login, kept until another login says otherwise. */
import type { RecoveryPolicy } from './recovery.ts';

export interface ServerSettings {
  /** What to do when the answer to a refresh was lost. Default `retry`. */
  recovery: RecoveryPolicy;
  /** OAuth error codes by which this server says `invalid_grant`. Default none. */
  deadTokenErrors: readonly string[];
}

/** What a login may say of them. Undefined: as it was. */
export type SettingsWishes = { [K in keyof ServerSettings]?: ServerSettings[K] | undefined };

export const DEFAULT_SETTINGS: ServerSettings = { recovery: 'retry', deadTokenErrors: [] };

/** The settings among the wishes, without those left open. */
export function wishedSettings({ recovery, deadTokenErrors }: SettingsWishes): Partial<ServerSettings> {
  return {
    ...(recovery === undefined ? {} : { recovery }),
    ...(deadTokenErrors === undefined ? {} : { deadTokenErrors }),
  };
}
