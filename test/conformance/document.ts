/** docs/conformance.md, of which some parts are written by programs. */

/** In front of each such part, and behind it. */
const begin = (name: string) => `<!-- ${name} -->\n`;
const END = '<!-- end -->';

/** The part between its marks. Throws when there is no such part. */
export function writtenPart(document: string, name: string): string {
  const [from, to] = placeOf(document, name);
  return document.slice(from, to);
}

/** The document with another text in that place; the rest of it stays. */
export function rewritePart(document: string, name: string, text: string): string {
  const [from, to] = placeOf(document, name);
  return document.slice(0, from) + text + document.slice(to);
}

function placeOf(document: string, name: string): [number, number] {
  const at = document.indexOf(begin(name));
  const from = at + begin(name).length;
  const to = document.indexOf(END, from);
  if (at < 0 || to < 0) throw new Error(`docs/conformance.md has no part ${name}`);
  return [from, to];
}
