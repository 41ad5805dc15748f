/**
 * `npm run reliability`: runs every case of this directory and writes what came of it to docs/reliability.md.
 *
 * The table is only ever written from results: a case that was not run is not in it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENT = join(CHECKOUT, 'docs/reliability.md');

/** The parts of vitest's JSON report that are used. */
interface Report {
  testResults: {
    name: string;
    assertionResults: { ancestorTitles: string[]; title: string; status: 'passed' | 'failed' | string }[];
  }[];
}

/** Names of the groups, by test file, in the order of the document. */
const GROUPS: Record<string, string> = {
  'kill-matrix.test.ts': 'Killed at a step',
  'fault-matrix.test.ts': 'Fault of the server or the network',
  'storm.test.ts': 'Many at once',
  'process-races.test.ts': 'Several processes',
};

const directory = mkdtempSync(join(tmpdir(), 'reliability-'));
try {
  const file = join(directory, 'report.json');
  const args = [
    'vitest',
    'run',
    'test/reliability',
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${file}`,
  ];
  const run = spawn('npx', args, { cwd: CHECKOUT, stdio: 'inherit' });
  await once(run, 'exit');
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  const { text, failed, total } = render(report);
  writeFileSync(DOCUMENT, text);
  process.stdout.write(`${total - failed} of ${total} cases passed; docs/reliability.md is written\n`);
  process.exitCode = failed === 0 && total > 0 ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true });
}

function render(report: Report): { text: string; failed: number; total: number } {
  const cases = Object.entries(GROUPS).flatMap(([file, group]) =>
    report.testResults
      .filter(({ name }) => basename(name) === file)
      .flatMap(({ assertionResults }) => assertionResults.map((result) => ({ group, ...result }))),
  );
  const failed = cases.filter(({ status }) => status !== 'passed').length;
  const rows = cases.map(({ group, ancestorTitles, title, status }) => {
    const name = [...ancestorTitles, title].join(': ').replaceAll('|', '\\|');
    return `| ${group} | ${name} | ${status === 'passed' ? 'holds' : '**FAILED**'} |`;
  });
  const text = `# Reliability

What is done to the broker, on real sockets and (where it is killed or races) in real processes, and what must come of it.
Each line is a test; it holds when the vault opens, nothing was deleted, no refresh token the server still accepts was lost
but where the line says so, and none was presented more often than its policy allows. Made by:

\`\`\`sh
npm run reliability
\`\`\`

${cases.length - failed} of ${cases.length} cases hold.

| what is done | case, and what must come of it | result |
|---|---|---|
${rows.join('\n')}

Not in the table yet: full disks and I/O errors of a real device, clock jumps in whole processes, and random interleavings
checked against a model.
`;
  return { text, failed, total: cases.length };
}
