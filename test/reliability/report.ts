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

/** The groups in the order of the document, each with its test files. */
const GROUPS: Record<string, string[]> = {
  'Killed at a step': ['kill-matrix.test.ts', 'kill-restore.test.ts'],
  'Fault of the server or the network': ['fault-matrix.test.ts'],
  'Many at once': ['storm.test.ts', 'process-storm.test.ts'],
  'Several processes': ['process-races.test.ts', 'process-waits.test.ts', 'hanging.test.ts'],
  Disk: ['disk-full.test.ts', 'disk-save.test.ts', 'disk-command.test.ts', 'disk-damage.test.ts'],
  Time: [
    'clock-forward.test.ts',
    'clock-back.test.ts',
    'lost-leases.test.ts',
    'lifetimes.test.ts',
    'suspend.test.ts',
    'long-sleep.campaign.ts',
  ],
  'Random interleavings': ['model.test.ts', 'model.campaign.ts'],
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
  const run = spawn('npx', args, {
    cwd: CHECKOUT,
    stdio: 'inherit',
    env: { ...process.env, CAMPAIGNS: '1' },
  });
  const [code] = await once(run, 'exit');
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  const { text, failed, total } = render(report);
  writeFileSync(DOCUMENT, text);
  const isSound = code === 0 && failed === 0 && total > 0;
  const verdict = isSound
    ? 'no refresh token was lost that a server still accepted'
    : 'see above for what failed';
  process.stdout.write(
    `${total - failed} of ${total} cases hold: ${verdict}; docs/reliability.md is written\n`,
  );
  process.exitCode = isSound ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true });
}

function render(report: Report): { text: string; failed: number; total: number } {
  const cases = Object.entries(GROUPS).flatMap(([group, files]) =>
    files.flatMap((file) =>
      report.testResults
        .filter(({ name }) => basename(name) === file)
        .flatMap(({ assertionResults }) => assertionResults.map((result) => ({ group, ...result }))),
    ),
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
`;
  return { text, failed, total: cases.length };
}
