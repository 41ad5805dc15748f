/** A machine's own key: made by the broker, or given in a file. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { withMachines } from '../support/machine-client.ts';
import { registerMachine } from '../support/registered-machine.ts';

let journey: Journey;

beforeEach(async () => {
  journey = await startJourney({ authorizationServer: withMachines() });
});

afterEach(() => journey.close());

function write(name: string, text: string): string {
  const path = join(journey.home.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const addArguments = (...more: string[]) => ['add', 'demo', '--url', journey.mcp.url, ...more];

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Hands the token of `demo` to a new agent, over HTTP. */
async function tokenForAgent(): Promise<Record<string, unknown>> {
  const key = (await output('agent', 'add', 'docs-bot', '--allow', 'demo')).trim();
  const { url } = await journey.serve();
  const headers = { authorization: `Bearer ${key}` };
  const answer = await call(`${url}/v1/connections/demo/token`, { headers });
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

describe('broker add --generate-client-key', () => {
  const generate = async (...more: string[]) => {
    const { clientId, enterKeys } = await registerMachine(journey.authorizationServer.issuer);
    const args = addArguments('--client-credentials', '--client-id', clientId, '--generate-client-key');
    return {
      enterKeys,
      added: await journey.run([...args, ...more]),
      again: () => journey.run([...args, ...more]),
    };
  };

  it('prints the public key for people, shows it again, and works once it is registered', async () => {
    const { added, enterKeys } = await generate();
    expect(added).toMatchObject({ code: 0, stdout: '' });
    expect(added.stderr).toMatch(
      /demo is added, and has a key of its own\n\nregister this public key for the client \S+ at /,
    );
    expect(added.stderr).toMatch(/when it is registered: broker refresh demo\n/);
    const [, printed = ''] = /^ {2}(\{"keys":.+)$/m.exec(added.stderr) ?? [];
    expect(await output('show', 'demo')).toContain(`\nclient jwks     ${printed}\n`);
    expectFailure(
      await journey.run(['token', 'demo']),
      2,
      /its key was made here, and is still to be registered/,
    );
    await enterKeys(JSON.parse(printed));
    expect((await journey.run(['refresh', 'demo'])).code).toBe(0);
    const { access_token } = await tokenForAgent();
    expect(await journey.authorizationServer.tokenIsActive(String(access_token))).toMatchObject({
      ...{ active: true, aud: journey.mcp.url },
    });
  });

  it('prints it in JSON, keeps it when added again, and never the private half', async () => {
    const { added, enterKeys, again } = await generate('--json');
    const { client_jwks, is_key_new } = JSON.parse(added.stdout);
    expect(is_key_new).toBe(true);
    await enterKeys(client_jwks);
    const repeated = JSON.parse((await again()).stdout);
    expect(repeated).toMatchObject({ client_jwks, state: 'ok' });
    expect(JSON.parse(await output('show', 'demo', '--json'))).toMatchObject({ client_jwks });
    for (const { process } of journey.processes)
      expect(process.stdout() + process.stderr()).not.toMatch(/"d":/);
  });

  it.each([
    ['a secret', ['--client-secret-file', 'secret'], /one secret or one key, not both$/],
    ['a key', ['--client-key-file', 'key'], /one secret or one key, not both$/],
    ['another way', ['--auth-method', 'client_secret_post'], /a key is of no use for client_secret_post$/],
  ])('is refused together with %s', async (_, more, message) => {
    const args = ['--client-credentials', '--client-id', 'x', '--generate-client-key', ...more];
    expectFailure(await journey.run(addArguments(...args)), 64, message);
    expect(readdirSync(journey.home.path)).not.toContain('vault');
  });
});

describe('broker add --client-key-file', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  it.each([
    [
      'a public key',
      String(publicKey.export({ type: 'spki', format: 'pem' })),
      /it is a public key; the private one is wanted/,
    ],
    [
      'a key of another purpose',
      JSON.stringify({ ...rsaJwk(), alg: 'RSA-OAEP' }),
      /its JWK is for "RSA-OAEP"/,
    ],
    ['words', 'fake words', /neither an unencrypted PEM private key nor a private JWK$/],
  ])('refuses %s with the reason, and stores nothing', async (_, text, message) => {
    const key = ['--client-credentials', '--client-id', 'by-key', '--client-key-file', write('key', text)];
    const refused = await journey.run(addArguments(...key));
    expectFailure(refused, 64, message);
    expect(existsSync(journey.vaultPath)).toBe(false);
    expect(journey.authorizationServer.requests).toEqual([]);
  });

  function rsaJwk(): object {
    return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  }
});
