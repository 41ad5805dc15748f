/** Looking up presets. */
import type { Preset } from './preset.ts';
import { PRESETS } from './preset-list.ts';

export { PRESETS, type Preset };

/** The preset of this name. */
export function findPreset(name: string): Preset | undefined {
  return PRESETS.find((each) => each.name === name);
}

/** The preset for this URL. */
export function findPresetByUrl(url: string): Preset | undefined {
  return PRESETS.find(({ urls }) => urls.includes(url));
}
