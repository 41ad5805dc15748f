/** The map of requirements is whole, true, and what docs/conformance.md shows. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writtenPart } from './document.ts';
import { namedTest } from './requirement.ts';
import { REQUIREMENTS, requirementsText } from './requirements.ts';
import { SCENARIOS } from './scenarios.ts';
import { titlesOf } from './titles.ts';

const POINTS = 46;
const QUIRKS = 70;
const FOR_CODA = [...'abcdefgh'];

/** Follows from what the broker is. */
const SEEN_NOWHERE = ['Q70'];

const numbered = (count: number, prefix = '') =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the requirements', () => {
  test('are all there, in their order', () => {
    const ids = [...numbered(POINTS), ...numbered(QUIRKS, 'Q'), ...FOR_CODA.map((letter) => `C-${letter}`)];
    expect(REQUIREMENTS.map(({ id }) => id)).toEqual(ids);
  });

  test('are each proven by a test, or say why not', () => {
    const bare = REQUIREMENTS.filter(({ tests = [], reason }) => tests.length > 0 === (reason !== undefined));
    expect(bare.map(({ id }) => id)).toEqual([]);
  });

  test('tell how strongly and since when they are demanded, or where they were seen', () => {
    const demand = /^(MUST|SHOULD|MAY), \d{4}-\d\d-\d\d$/;
    const source = /^([\w.-]+\/)?[\w.-]+#\d+$|^[\w.-]+\/[\w.-]+$|^RFC \d+ §[\d.]+$/;
    const isSeen = (text: string) => text.split(', ').every((each) => source.test(each));
    const vague = REQUIREMENTS.filter(
      ({ id, demand: said = '', seenAt = '' }) =>
        !id.startsWith('C-') && !SEEN_NOWHERE.includes(id) && !demand.test(said) && !isSeen(seenAt),
    );
    expect(vague.map(({ id }) => id)).toEqual([]);
  });

  test('name tests that there are, each of them one', () => {
    const titles = new Map<string, string[]>();
    const wrong = REQUIREMENTS.flatMap(({ id, tests = [] }) => tests.map((text) => ({ id, text }))).filter(
      ({ text }) => {
        const { file, name } = namedTest(text);
        if (!titles.has(file)) titles.set(file, existsSync(file) ? titlesOf(read(file)) : []);
        const found = titles.get(file)?.filter((each) => each === name || each.endsWith(` > ${name}`));
        return found?.length !== 1;
      },
    );
    expect(wrong.map(({ id, text }) => `${id}: ${text}`)).toEqual([]);
  });

  test('name scenarios that are run', () => {
    const run = SCENARIOS.map(({ name }) => name);
    expect(
      REQUIREMENTS.flatMap(({ scenarios = [] }) => scenarios).filter((name) => !run.includes(name)),
    ).toEqual([]);
  });

  test('are what docs/conformance.md shows: npm run conformance -- --requirements writes it', () => {
    expect(writtenPart(read('docs/conformance.md'), 'requirements')).toBe(requirementsText());
  });
});

describe('the titles of a file', () => {
  test('are those of its tests, with all that stands around them', () => {
    const source = [
      "describe('a token', () => {",
      "  it('is one', () => {",
      "    expect(read('no title')).toBe(1);",
      '  });',
      '  it.each<[string]>([',
      "    ['x'],",
      "  ])('is %s', () => {});",
      '  describe("that’s \'old\'", () => {',
      '    test(`ends`, () => {});',
      '  });',
      '});',
      'it.each(ROWS)(',
      "  'goes on with %i',",
      '  () => {},',
      ');',
      "it.skip('never', () => {});",
      "describe.skip('not now', () => {",
      "  it('is not either', () => {});",
      '});',
      "it('comes last', () => {});",
    ];
    expect(titlesOf(source.join('\n'))).toEqual([
      'a token',
      'a token > is one',
      'a token > is %s',
      "a token > that’s 'old'",
      "a token > that’s 'old' > ends",
      'goes on with %i',
      'comes last',
    ]);
  });
});
