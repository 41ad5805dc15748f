/**
 * What the suite's runner starts, with the server's URL as last argument and the rest in the environment. It hands them
 * to the client in the process that started the runner, whose modules are loaded already, and ends as that one says.
 * `CONFORMANCE_CLIENT` is its socket. Without it, the client runs here.
 */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** What the runner wants done. */
export interface Task {
  url: string;
  scenario: string;
  /** Revision of MCP. */
  version: string;
  /** JSON: what the scenario gives the client to know. */
  context: string;
}

/** How it went. */
export interface Ended {
  exitCode: number;
  stderr: string;
}

const {
  CONFORMANCE_CLIENT: client,
  MCP_CONFORMANCE_SCENARIO: scenario = '',
  MCP_CONFORMANCE_PROTOCOL_VERSION: version = '',
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env;
const task: Task = { url: process.argv.at(-1) ?? '', scenario, version, context };

const { exitCode, stderr } = await (client === undefined ? runHere() : runThere(client));
process.stderr.write(stderr);
process.exitCode = exitCode;

async function runThere(path: string): Promise<Ended> {
  const socket = connect(path);
  socket.end(JSON.stringify(task));
  return JSON.parse(await text(socket)) as Ended;
}

/** As a person starts it who wants to see one scenario. */
async function runHere(): Promise<Ended> {
  const { runClient } = await import('./client.ts');
  return runClient(task);
}
