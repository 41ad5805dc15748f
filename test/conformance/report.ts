/**
 * `npm run conformance`: runs every scenario and writes what came of it into the tables of docs/conformance.md, and
 * behind them the map of requirements. `npm run conformance -- --requirements` writes only that map, which takes no time.
 * The rest of that document stays.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rewritePart } from './document.ts';
import { GATEWAY_HEAD, GATEWAY_REVISIONS, gatewayRow, runThroughGateway } from './gateway-runs.ts';
import { requirementsText } from './requirements.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { openSuite, type Result, type Suite } from './suite.ts';
import { countDecided, countPassed, faultsOf } from './verdict.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));

const VERDICTS = {
  works: 'passes',
  refuses: 'passes: the broker refuses this server',
  declines: 'declined: the broker takes no bound tokens, and says so before it asks for one',
} as const;

write('requirements', requirementsText());
if (!process.argv.includes('--requirements')) {
  const faults = await runGateway();
  await runScenarios(faults);
}

/** What it must not come to: a verdict that is another through the gateway. */
async function runGateway(): Promise<string[]> {
  const rows: string[] = [];
  for (const version of GATEWAY_REVISIONS) rows.push(gatewayRow(version, await runThroughGateway(version)));
  write('gateway', GATEWAY_HEAD + rows.join(''));
  return rows.filter((row) => row.includes('FAILED'));
}

/** Sets the exit code to 1 when one comes out as it must not, or anything did before. */
async function runScenarios(otherFaults: string[]): Promise<void> {
  const suite = await openSuite();
  try {
    const outcomes = await Promise.all(SCENARIOS.map((scenario) => outcomeOf(suite, scenario)));
    const failed = [...otherFaults, ...outcomes.flatMap(({ faults }) => faults)];
    const rows = outcomes.map(({ row }) => row);
    const head = '| scenario | revisions of MCP | checks passed | result |\n|---|---|---|---|';
    write('npm run conformance', `${head}\n${rows.join('\n')}\n`);
    const verdict = failed.length === 0 ? 'all scenarios come out as they must' : failed.join('\n');
    process.stdout.write(`${verdict}; docs/conformance.md is written\n`);
    process.exitCode = failed.length === 0 ? 0 : 1;
  } finally {
    await suite.close();
  }
}

function write(part: string, text: string): void {
  writeFileSync(DOCUMENT, rewritePart(readFileSync(DOCUMENT, 'utf8'), part, text));
}

async function outcomeOf(
  suite: Suite,
  { name, versions, expected }: Scenario,
): Promise<{ row: string; faults: string[] }> {
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
