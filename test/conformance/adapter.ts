/**
 * The client that the MCP conformance suite tests: our broker, an operator who signs in, and an agent that calls
 * `test-tool`. The suite's runner starts it with the server's URL as last argument and the rest in the environment.
 *
 * Exits with 0 when the tool has answered. Otherwise says why on stderr, a refusal of the broker as
 * `code: message`, and exits with what `broker` itself would.
 */
import { openBroker } from '../../src/broker/index.ts';
import { exitCodeFor } from '../../src/cli/exit-codes.ts';
import { readSettings } from '../../src/config.ts';
import { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { createHome } from '../support/home.ts';
import { openGateway } from './gateway.ts';
import { useTestTool } from './mcp-calls.ts';
import { setUp } from './set-up.ts';

const NAME = 'conformance';

const url = process.argv.at(-1) ?? '';
const {
  MCP_CONFORMANCE_SCENARIO: scenario = '',
  MCP_CONFORMANCE_PROTOCOL_VERSION: version = '',
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env;

const home = await createHome();
const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
const broker = await openBroker({ settings, log: createLog('warn'), create: true });
try {
  const connect = await setUp(broker, NAME, { scenario, url, context: JSON.parse(context) }, home.path);
  await useTestTool(version, await openGateway(broker, NAME, url, connect));
} catch (error) {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = exitCodeFor(error);
} finally {
  await broker.close();
  await home.remove();
}

function describe(error: unknown): string {
  if (error instanceof BrokerError) return `${error.code}: ${error.message}\n${error.hint ?? ''}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
