/**
 * `npm run conformance`: runs every scenario and writes what came of it into the table of docs/conformance.md. The
 * rest of that document stays.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { openSuite, type Result } from './suite.ts';
import { countDecided, countPassed, faultsOf } from './verdict.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));

/** In the document, around what is written here. */
const TABLE = /(?<=<!-- npm run conformance -->\n).*?(?=<!-- end -->)/s;

const VERDICTS = {
  works: 'passes',
  refuses: 'passes: the broker refuses this server',
  declines: 'declined: the broker takes no bound tokens, and says so before it asks for one',
} as const;

const suite = await openSuite();
try {
  const outcomes = await Promise.all(SCENARIOS.map(outcomeOf));
  const failed = outcomes.flatMap(({ faults }) => faults);
  const rows = outcomes.map(({ row }) => row);
  const head = '| scenario | revisions of MCP | checks passed | result |\n|---|---|---|---|';
  const table = `${head}\n${rows.join('\n')}\n`;
  writeFileSync(
    DOCUMENT,
    readFileSync(DOCUMENT, 'utf8').replace(TABLE, () => table),
  );
  const verdict = failed.length === 0 ? 'all scenarios come out as they must' : failed.join('\n');
  process.stdout.write(`${verdict}; docs/conformance.md is written\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
} finally {
  await suite.close();
}

async function outcomeOf({ name, versions, expected }: Scenario): Promise<{ row: string; faults: string[] }> {
  const results = await Promise.all(versions.map((version) => suite.run(name, version)));
  const faults = results.flatMap((result, index) =>
    faultsOf(expected, result).map((fault) => `${name} in MCP ${versions[index]}: ${fault}`),
  );
  const verdict = faults.length === 0 ? VERDICTS[expected.kind] : '**FAILED**';
  const cells = [`\`${name}\``, versions.join(', '), results.map(count).join(', '), verdict];
  return { row: `| ${cells.join(' | ')} |`, faults };
}

function count(result: Result): string {
  return `${countPassed(result)} of ${countDecided(result)}`;
}
