/** The links of the documents, and the places they lead to. */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readPage } from './command-lines.ts';

const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));

/** What is wrong with a link: it leads to no file, or to no heading of it. */
export interface BrokenLink {
  page: string;
  target: string;
}

/** The links of a page that lead nowhere. Addresses of other hosts are not looked at. */
export function brokenLinks(page: string, text = readPage(page)): BrokenLink[] {
  return linksOf(text)
    .filter((target) => !leadsSomewhere(page, text, target))
    .map((target) => ({ page, target }));
}

/** The targets of all relative links, as written. */
export function linksOf(text: string): string[] {
  const prose = withoutCode(text);
  const inline = [...prose.matchAll(/\]\(<?([^\s<>)]+)>?(?:\s+"[^"]*")?\)/g)];
  const named = [...prose.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)];
  return [...inline, ...named]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z][a-z+.-]*:/.test(target));
}

/** The anchors of a page, as GitHub makes them from its headings. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutBlocks(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1').toLowerCase();
    const base = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
    let anchor = base;
    for (let again = 1; anchors.has(anchor); again += 1) anchor = `${base}-${again}`;
    anchors.add(anchor);
  }
  return anchors;
}

function leadsSomewhere(page: string, text: string, target: string): boolean {
  const [path = '', anchor] = target.split('#', 2);
  const file = path === '' ? page : posix.join(posix.dirname(page), decodeURI(path));
  if (!existsSync(`${CHECKOUT}${file}`)) return false;
  if (anchor === undefined) return true;
  return anchorsOf(file === page ? text : readPage(file)).has(anchor);
}

function withoutBlocks(text: string): string {
  return text.replace(/^```.*?^```$/gms, '');
}

function withoutCode(text: string): string {
  return withoutBlocks(text).replace(/`[^`\n]*`/g, '`code`');
}
