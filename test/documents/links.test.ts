/** The documents as a set that is read in order: every link leads somewhere, and no page is lost. */
import { expect, test } from 'vitest';
import { pages, readPage } from '../support/documented/command-lines.ts';
import { anchorsOf, brokenLinks, linksOf } from '../support/documented/links.ts';

test.each([...pages(), 'CHANGES.md'])('every relative link of %s leads to a file and a heading', (page) => {
  expect(brokenLinks(page)).toEqual([]);
});

test('a link to a file or a heading that is not there is found', () => {
  const text =
    '# One `two`, three!\n[a](#one-two-three) [b](#four) [c](nothing.md) [d](login.md#nowhere) [e](https://x.y)';
  expect(brokenLinks('docs/concepts.md', text).map(({ target }) => target)).toEqual([
    '#four',
    'nothing.md',
    'login.md#nowhere',
  ]);
  expect([...anchorsOf('## `GET /v1/logins`\n## `GET /v1/logins`')]).toEqual([
    'get-v1logins',
    'get-v1logins-1',
  ]);
});

const index = readPage('docs/README.md');

test('the index links every page of docs once, and the README links the index', () => {
  const others = pages().filter((page) => page.startsWith('docs/') && page !== 'docs/README.md');
  expect(linksOf(index).sort()).toEqual(others.map((page) => page.slice('docs/'.length)).sort());
  expect(linksOf(readPage('README.md'))).toContain('docs/README.md');
});

test('every page has one heading and says what it is for, and those read in order name the next', () => {
  const [, inOrder = ''] = /^## Read in order$(.*?)^## /ms.exec(index) ?? [];
  const order = linksOf(inOrder);
  expect(order.length).toBeGreaterThan(7);
  for (const page of pages()) {
    const text = readPage(page);
    expect(text, page).toMatch(/^# [^\n]+\n\n(?!\n|#|```|\|)/);
    expect(text.replace(/^```.*?^```$/gms, '').match(/^# /gm), page).toHaveLength(1);
  }
  const wrong = order.slice(0, -1).filter((page, at) => {
    const last = readPage(`docs/${page}`).trimEnd().split('\n').at(-1) ?? '';
    return !(last.startsWith('Next: ') && linksOf(last)[0] === order[at + 1]);
  });
  expect(wrong).toEqual([]);
});
