/** The titles of the tests in a file, without running it. */

/** Comes before the quote of a title: `it(`, `describe.each(…)(`, also when the table before it spans lines. */
const TITLE = /^( *)(?:(?:it|test|describe)(?:\.\w+)*(?:<.*>)?|.*\))\(\n? *(['"`])((?:\\.|(?!\2).)*)\2/;

/**
 * Whole titles, from the outermost `describe` to the test, joined by ` > `, as they are written: `%s` stays. Relies on
 * the formatter, by which what stands deeper is indented deeper. Tests that are skipped are none.
 */
export function titlesOf(source: string): string[] {
  const titles: string[] = [];
  const around: { indent: number; title: string; isSkipped: boolean }[] = [];
  const lines = source.split('\n');
  lines.forEach((line, index) => {
    const call = /\($/.test(line) ? `${line}\n${lines[index + 1]}` : line;
    const [, { length: indent } = '', , written = ''] = TITLE.exec(call) ?? [];
    if (written === '') return;
    while ((around.at(-1)?.indent ?? -1) >= indent) around.pop();
    const isSkipped = /\b(it|test|describe)\.(skip|todo)\b/.test(line);
    around.push({ indent, title: written.replace(/\\(.)/g, '$1'), isSkipped });
    if (around.every((each) => !each.isSkipped)) titles.push(around.map(({ title }) => title).join(' > '));
  });
  return titles;
}
