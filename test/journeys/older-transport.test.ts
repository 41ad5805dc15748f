/** A server that only speaks the older transport, HTTP with SSE, through the real bin. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';

let journey: Journey;
beforeEach(async () => {
  journey = await startJourney({ mcp: { sse: {} } });
});
afterEach(() => journey.close());

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}
const transportOf = async (name: string) => JSON.parse(await output('show', name, '--json')).transport;

it('is signed in to like any other, and agents speak Streamable HTTP with it', async () => {
  expect((await journey.login({ args: ['--transport', 'sse'] })).code).toBe(0);
  expect(await transportOf('demo')).toBe('sse');
  expect(await output('show', 'demo')).toMatch(/transport +HTTP with SSE/);
  expect(await output('doctor', 'demo')).toMatch(/initialize +a server that does not tell its name accepts/);
  const key = (await output('agent', 'add', 'docs-bot', '--allow', 'demo', '--mode', 'gateway')).trim();
  const { url } = await journey.serve();
  expect(await callTool(`${url}/mcp/demo`, key, 'whoami')).toBe('alice');
  // Signing in again changes nothing about it, unless that is said.
  expect((await journey.login()).code).toBe(0);
  expect(await transportOf('demo')).toBe('sse');
  expect((await journey.login({ args: ['--transport', 'http'] })).code).toBe(0);
  expect(await transportOf('demo')).toBeUndefined();
});

it('is asked in its own way before a credential is stored, and keeps its transport with the next one', async () => {
  expect((await journey.login()).code).toBe(0);
  const file = join(journey.home.path, 'token');
  const add = (token: string, ...more: string[]) => {
    writeFileSync(file, token, { mode: 0o600 });
    return journey.run(['add', 'old', '--url', journey.mcp.url, '--bearer-file', file, ...more]);
  };
  const token = await journey.servedToken();
  expectFailure(await add('not-a-token', '--transport', 'sse', '--probe'), 2, /refuses the credential/);
  expect((await add(token, '--transport', 'sse', '--probe')).code).toBe(0);
  expect(await transportOf('old')).toBe('sse');
  expect((await add(token)).code).toBe(0);
  expect(await transportOf('old')).toBe('sse');
});
