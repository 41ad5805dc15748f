/**
 * The server scenarios of the official conformance suite, against a server itself and through the gateway: the gateway
 * must not change a single verdict.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorization } from '../support/gateway-clients.ts';
import { createEverythingServer } from '../support/gateway-everything.ts';
import { type KeyRelay, startKeyRelay } from '../support/gateway-key-relay.ts';
import { createSessionServer } from '../support/gateway-mcp-v1.ts';
import { createStatelessServer } from '../support/gateway-mcp-v2.ts';
import { serveSdk } from '../support/gateway-serve.ts';
import { createTools } from '../support/gateway-tools.ts';
import type { Answer } from '../support/gateway-upstream.ts';
import { type GatewayWorld, startGatewayWorld } from '../support/gateway-world.ts';
import { parseJson } from '../support/recorded-request.ts';
import type { Check } from './suite.ts';

const RUNNER = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);

const SESSIONS = createSessionServer(() => createEverythingServer().server);
const STATELESS = createStatelessServer(createTools());

/** The servers, and what each does not do: it fails there with and without the gateway. */
const SERVERS: Record<string, { answer: Answer; notPassed: readonly string[] }> = {
  '2025-11-25': {
    answer: ({ body }, response, request) =>
      SESSIONS.handle(request, response, body.length > 0 ? parseJson(body) : undefined),
    // It has no tools with such schemas.
    notPassed: ['elicitation-sep1330-enums', 'json-schema-2020-12'],
  },
  '2026-07-28': {
    answer: serveSdk(SESSIONS, STATELESS),
    // It has the tools of the other tests of the gateway, and neither those of the suite nor prompts nor resources.
    notPassed: [
      'caching',
      'completion-complete',
      'http-custom-header-server-validation',
      'input-required-result-basic-elicitation',
      'input-required-result-basic-list-roots',
      'input-required-result-basic-sampling',
      'input-required-result-capability-check',
      'input-required-result-multi-round',
      'input-required-result-multiple-input-requests',
      'input-required-result-non-tool-request',
      'input-required-result-request-state',
      'input-required-result-result-type',
      'input-required-result-tampered-state',
      'json-schema-2020-12',
      'prompts-get-embedded-resource',
      'prompts-get-simple',
      'prompts-get-with-args',
      'prompts-get-with-image',
      'prompts-list',
      'resources-list',
      'resources-read-binary',
      'resources-read-text',
      'resources-templates-read',
      'server-stateless',
      'tools-call-audio',
      'tools-call-embedded-resource',
      'tools-call-error',
      'tools-call-image',
      'tools-call-mixed-content',
      'tools-call-simple-text',
      'tools-call-with-progress',
    ],
  },
};

describe.each(Object.entries(SERVERS))(
  'the conformance of a server of %s',
  (version, { answer, notPassed }) => {
    let given: GatewayWorld;
    let relays: KeyRelay[];
    let directory: string;

    beforeAll(async () => {
      given = await startGatewayWorld();
      given.upstream.answer((call, response, request) => {
        const isMeant = request.headers.host === new URL(given.upstream.url).host;
        return isMeant ? answer(call, response, request) : response.writeHead(403).end();
      });
      const key = await given.addAgent('suite');
      const token = await given.broker().token({ kind: 'operator' }, 'demo');
      relays = [
        await startKeyRelay(given.upstream.url, authorization(token.accessToken.reveal())),
        await startKeyRelay(given.endpoint, authorization(key)),
      ];
      directory = await mkdtemp(join(tmpdir(), 'conformance-'));
    });
    afterAll(async () => {
      await Promise.all(relays.map((relay) => relay.close()));
      await given.close();
      await rm(directory, { recursive: true });
    });

    it('is the same through the gateway, check by check', async () => {
      const [direct = {}, through] = await Promise.all(
        relays.map(({ url }, index) => runSuite(url, version, join(directory, String(index)))),
      );
      expect(through).toEqual(direct);
      expect(Object.keys(direct).length).toBeGreaterThan(25);
      const failed = Object.entries(direct).filter(([, checks]) =>
        checks.some((each) => each.endsWith('FAILURE')),
      );
      expect(failed.map(([scenario]) => scenario)).toEqual(notPassed);
    }, 60_000);
  },
);

/** Checks by scenario, each as `id STATUS`. */
async function runSuite(url: string, version: string, output: string): Promise<Record<string, string[]>> {
  const which = ['--suite', 'all', '--spec-version', version, '--timeout', '10000'];
  // It exits with 1 when a scenario fails, which is not for us to judge here.
  await new Promise((resolve) =>
    execFile(process.execPath, [RUNNER, 'server', '--url', url, ...which, '-o', output], resolve),
  );
  const files = (await readdir(output, { recursive: true })).filter((file) => file.endsWith('checks.json'));
  const results = files.map(async (file): Promise<[string, string[]]> => {
    const checks = JSON.parse(await readFile(join(output, file), 'utf8')) as Check[];
    const scenario = file.replace(/-\d{4}-\d\d-\d\dT.*$/, '').replace(/^server-/, '');
    return [scenario, checks.map(({ id, status }) => `${id} ${status}`)];
  });
  return Object.fromEntries((await Promise.all(results)).sort(([a], [b]) => (a < b ? -1 : 1)));
}
