/** The client that the MCP conformance suite tests: our broker, an operator who signs in, and an agent that calls a tool. */
import { openBroker } from '../../src/broker/index.ts';
import { exitCodeFor } from '../../src/cli/exit-codes.ts';
import { readSettings } from '../../src/config.ts';
import { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { createHome } from '../support/home.ts';
import type { Ended, Task } from './adapter.ts';
import { openGateway } from './gateway.ts';
import { useTestTool } from './mcp-calls.ts';
import { setUp } from './set-up.ts';

const NAME = 'conformance';

/**
 * Uses `test-tool` of the server, in a home of its own. Exit code 0 when the tool has answered. Otherwise says why, a
 * refusal of the broker as `code: message`, with the exit code `broker` itself would have.
 */
export async function runClient({ url, scenario, version, context }: Task): Promise<Ended> {
  const home = await createHome();
  const settings = readSettings({ home: home.env.BROKER_HOME as string }, { ...home.env });
  const broker = await openBroker({ settings, log: createLog('silent'), create: true });
  try {
    const connect = await setUp(broker, NAME, { scenario, url, context: JSON.parse(context) }, home.path);
    await useTestTool(version, await openGateway(broker, NAME, url, connect));
    return { exitCode: 0, stderr: '' };
  } catch (error) {
    return { exitCode: exitCodeFor(error), stderr: `${describe(error)}\n` };
  } finally {
    await broker.close();
    await home.remove();
  }
}

function describe(error: unknown): string {
  if (error instanceof BrokerError) return `${error.code}: ${error.message}\n${error.hint ?? ''}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
