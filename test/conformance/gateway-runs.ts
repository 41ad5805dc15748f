/**
 * The server scenarios of the official conformance suite, against a server itself and through the gateway, at the same
 * time: the gateway must not change a single verdict.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { authorization } from '../support/gateway-clients.ts';
import { createEverythingServer } from '../support/gateway-everything.ts';
import { createEverythingHandler } from '../support/gateway-everything-v2.ts';
import { startKeyRelay } from '../support/gateway-key-relay.ts';
import { createSessionServer } from '../support/gateway-mcp-v1.ts';
import { serveSdk } from '../support/gateway-serve.ts';
import type { Answer } from '../support/gateway-upstream.ts';
import { startGatewayWorld } from '../support/gateway-world.ts';
import { parseJson } from '../support/recorded-request.ts';
import type { Check } from './suite.ts';

const RUNNER = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);

/** What the suite found, by scenario. */
export type Verdicts = Record<string, Pick<Check, 'id' | 'status'>[]>;

export interface GatewayRuns {
  direct: Verdicts;
  through: Verdicts;
}

/** The revisions whose scenarios can be run. */
export const GATEWAY_REVISIONS = ['2025-11-25', '2026-07-28'];

/** Runs all scenarios of a revision, both ways: some five seconds. */
export async function runThroughGateway(version: string): Promise<GatewayRuns> {
  const given = await startGatewayWorld();
  const server = startServer(version);
  given.upstream.answer((call, response, request) => {
    const isMeant = request.headers.host === new URL(given.upstream.url).host;
    return isMeant ? server.answer(call, response, request) : response.writeHead(403).end();
  });
  const key = await given.addAgent('suite');
  const token = await given.broker().token({ kind: 'operator' }, 'demo');
  const relays = [
    await startKeyRelay(given.upstream.url, authorization(token.accessToken.reveal())),
    await startKeyRelay(given.endpoint, authorization(key)),
  ];
  const directory = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const runs = relays.map(({ url }, index) => runSuite(url, version, join(directory, String(index))));
    const [direct = {}, through = {}] = await Promise.all(runs);
    return { direct, through };
  } finally {
    await Promise.all(relays.map((relay) => relay.close()));
    await server.close();
    await given.close();
    await rm(directory, { recursive: true });
  }
}

/** Scenarios without a check that failed. A warning counts as a failure, as it does for the suite. */
export function passedIn(verdicts: Verdicts): string[] {
  const isFault = ({ status }: Pick<Check, 'status'>) => status === 'FAILURE' || status === 'WARNING';
  return Object.keys(verdicts).filter((scenario) => !verdicts[scenario]?.some(isFault));
}

/** The row of a revision in the table `GATEWAY_HEAD`. */
export function gatewayRow(version: string, { direct, through }: GatewayRuns): string {
  const result = isDeepStrictEqual(through, direct) ? 'the same, check by check' : '**FAILED**';
  return `| ${[version, countsOf(direct), countsOf(through), result].join(' | ')} |\n`;
}

export const GATEWAY_HEAD =
  '| revision of MCP | passed directly | passed through the gateway | result |\n|---|---|---|---|\n';

function countsOf(verdicts: Verdicts): string {
  const statuses = Object.values(verdicts).flatMap((checks) => checks.map(({ status }) => status));
  const decided = statuses.filter((status) => ['SUCCESS', 'FAILURE', 'WARNING'].includes(status));
  const good = decided.filter((status) => status === 'SUCCESS');
  const scenarios = `${passedIn(verdicts).length} of ${Object.keys(verdicts).length} scenarios`;
  return `${scenarios}, ${good.length} of ${decided.length} checks`;
}

function startServer(version: string): { answer: Answer; close(): Promise<void> } {
  const sessions = createSessionServer(() => createEverythingServer().server, { retryMs: 100 });
  if (version === '2025-11-25') {
    const answer: Answer = ({ body }, response, request) =>
      sessions.handle(request, response, body.length > 0 ? parseJson(body) : undefined);
    return { answer, close: () => sessions.close() };
  }
  const stateless = createEverythingHandler();
  return {
    answer: serveSdk(sessions, stateless),
    async close() {
      await sessions.close();
      await stateless.close();
    },
  };
}

async function runSuite(url: string, version: string, output: string): Promise<Verdicts> {
  const which = ['--suite', 'all', '--spec-version', version, '--timeout', '10000'];
  // It exits with 1 when a scenario fails, which is not for us to judge here.
  await new Promise((resolve) =>
    execFile(process.execPath, [RUNNER, 'server', '--url', url, ...which, '-o', output], resolve),
  );
  const files = (await readdir(output, { recursive: true })).filter((file) => file.endsWith('checks.json'));
  const results = files.map(async (file): Promise<[string, Verdicts[string]]> => {
    const checks = JSON.parse(await readFile(join(output, file), 'utf8')) as Check[];
    const scenario = file.replace(/-\d{4}-\d\d-\d\dT.*$/, '').replace(/^server-/, '');
    return [scenario, checks.map(({ id, status }) => ({ id, status }))];
  });
  return Object.fromEntries((await Promise.all(results)).sort(([a], [b]) => (a < b ? -1 : 1)));
}
