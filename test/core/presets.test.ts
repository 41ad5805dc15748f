import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConnectionName } from '../../src/core/names.ts';
import { findPreset, findPresetByUrl, PRESETS, type Preset } from '../../src/core/presets.ts';
import { DEFAULT_SETTINGS } from '../../src/core/server-settings.ts';

const URLS = PRESETS.flatMap(({ urls }) => urls);

describe('the presets', () => {
  it('have names a connection can have, in order, each once', () => {
    const names = PRESETS.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(20);
    expect(names).toEqual([...new Set(names)].sort());
    expect(names.filter((name) => parseConnectionName(name)?.server !== name)).toEqual([]);
  });

  it('have https URLs to the letter, none of them twice', () => {
    expect(URLS.filter((url) => !url.startsWith('https://') || URL.parse(url)?.href !== url)).toEqual([]);
    expect(new Set(URLS).size).toBe(URLS.length);
  });

  it.each(PRESETS)('$name sets only settings there are, and says where it is known from', (preset) => {
    expect(Object.keys(DEFAULT_SETTINGS)).toEqual(expect.arrayContaining(Object.keys(preset.settings)));
    expect(preset.sources.length).toBeGreaterThan(0);
    for (const source of preset.sources) {
      expect(source).toMatch(/^(https:\/\/\S+|[\w.-]+\/[\w.-]+#\d+)$/);
    }
  });

  it.each(PRESETS)('$name speaks in single sentences without a full stop', ({ notes, needsClient }) => {
    for (const text of [...notes, ...(needsClient === undefined ? [] : [needsClient])]) {
      expect(text).toMatch(/^\S.*[^.\s]$/);
      expect(text).not.toMatch(/[.!?] [A-Z]|\n/);
    }
  });

  it('name the options for a client of one’s own where the vendor lets people make one', () => {
    const bring = PRESETS.filter(({ needsClient }) => needsClient?.startsWith('create'));
    expect(bring.map(({ name }) => name)).toEqual(['asana', 'github', 'hubspot', 'slack']);
    for (const { needsClient } of bring) {
      expect(needsClient).toContain('--client-id');
      expect(needsClient).toContain('--client-secret-file');
    }
  });
});

describe('a preset', () => {
  it('is found by its name and by each of its URLs, to the letter', () => {
    const coda = findPreset('coda');
    expect(coda?.settings).toEqual({ scopes: ['mcp:all'] });
    for (const url of coda?.urls ?? []) expect(findPresetByUrl(url)).toBe(coda);
    expect(coda?.urls).toHaveLength(2);
    expect(findPreset('Coda')).toBeUndefined();
    expect(findPresetByUrl('https://coda.io/apis/mcp/')).toBeUndefined();
  });
});

describe('docs/presets.md', () => {
  it('is the list as a table', () => {
    const text = readFileSync(new URL('../../docs/presets.md', import.meta.url), 'utf8');
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(PRESETS.map(row));
  });
});

function row({ name, urls, notes, needsClient, sources }: Preset): string {
  const endpoints = urls.map((url) => `\`${url}\``).join('<br>');
  const words = [...notes, ...(needsClient === undefined ? [] : [`**needs a client:** ${needsClient}`])];
  return `| \`${name}\` | ${endpoints} | ${words.join('<br>')} | ${sources.map(link).join('<br>')} |`;
}

function link(source: string): string {
  const [, repository, number] = /^([^#:]+)#(\d+)$/.exec(source) ?? [];
  if (repository === undefined) return `<${source}>`;
  return `[${source}](https://github.com/${repository}/issues/${number})`;
}
