/** `broker doctor` as a person and a script meet it. What it finds is tested in `test/broker/doctor.test.ts`. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Diagnosis, STEPS } from '../../src/core/diagnosis.ts';
import { freePort } from '../support/free-port.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { startRawServer } from '../support/raw-server.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';

let journey: Journey;

beforeEach(async () => {
  journey = await startJourney();
});

afterEach(() => journey.close());

async function login(): Promise<void> {
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
}

const doctor = (...args: string[]) => journey.run(['doctor', ...args]);
const linesOf = ({ stdout }: { stdout: string }) => stdout.trimEnd().split('\n');

describe('broker doctor of a healthy connection', () => {
  beforeEach(login);

  it('has one aligned line for each step and exits 0', async () => {
    const result = await doctor('demo');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(linesOf(result).map((line) => line.slice(0, 16))).toEqual(
      STEPS.map((step) => `✔ ${step.padEnd(12)}  `),
    );
  });

  it('answers in JSON: an object for one, a list for all', async () => {
    const one = JSON.parse((await doctor('demo', '--json')).stdout) as Diagnosis;
    expect(one.target).toBe('demo');
    expect(one.steps.map(({ step }) => step)).toEqual(STEPS);
    expect(one.steps.at(-1)).toEqual({
      step: 'initialize',
      verdict: 'ok',
      message: 'test-mcp-server 1.0.0 accepts the token',
    });
    const all = JSON.parse((await doctor('--json')).stdout) as Diagnosis[];
    expect(all.map(({ target }) => target)).toEqual(['vault', 'demo']);
  });

  it('names each part when it examines all, and works beside a daemon', async () => {
    await journey.serve();
    const result = await doctor();
    expect(result.code, result.stdout).toBe(0);
    const headings = linesOf(result).filter((line) => !line.startsWith('✔'));
    expect(headings).toEqual(['vault', 'demo']);
  });

  it('prints no secret', async () => {
    const results = await Promise.all([doctor('demo'), doctor('--json'), doctor('--log-level', 'debug')]);
    const printed = results.map(({ stdout, stderr }) => stdout + stderr).join('');
    const secrets = secretsSeenBy(journey.authorizationServer);
    expect(secrets.size).toBeGreaterThan(3);
    expect([...secrets].filter(([secret]) => printed.includes(secret)).map(([, field]) => field)).toEqual([]);
  });

  it('says below a failed step what mends it and exits 2', async () => {
    await journey.authorizationServer.revokeGrantsOf('alice');
    const result = await doctor('demo');
    expect(result.code).toBe(2);
    expect(linesOf(result).slice(-2)).toEqual([
      '✘ initialize    the server refuses the token (401 invalid_token)',
      '                → broker refresh demo',
    ]);
  });

  it('with a wrong key exits 3 and says why the rest was left out', async () => {
    const file = join(journey.home.path, 'other.key');
    writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600 });
    const result = await doctor('demo', '--master-key-file', file);
    expect(result.code).toBe(3);
    const lines = linesOf(result);
    expect(lines[0]).toMatch(/^✘ key .+ is not the key of this vault$/);
    expect(lines[1]).toMatch(/^ {16}→ name the right one with --master-key-file/);
    expect(lines.at(-1)).toBe('– initialize    the vault could not be opened');
  });
});

describe('broker doctor of a server', () => {
  it('that is not connected looks only, and makes no vault', async () => {
    const result = await doctor(journey.mcp.url);
    expect(result.code, result.stdout).toBe(0);
    expect(linesOf(result).map((line) => line.split(/\s+/)[1])).toEqual([
      'clock',
      'discovery',
      'registration',
    ]);
    expect(existsSync(dirname(journey.vaultPath))).toBe(false);
  });

  it('that is down exits 75', async () => {
    const result = await doctor(`http://127.0.0.1:${await freePort()}/mcp`, '--json');
    expect(result.code).toBe(75);
    expect(JSON.parse(result.stdout)).toMatchObject({
      steps: [
        { step: 'clock', verdict: 'skipped' },
        { step: 'discovery', verdict: 'failed', code: 'upstream_unavailable' },
        { step: 'registration', verdict: 'skipped' },
      ],
    });
  });

  it('that sends what moves a cursor cannot do so', async () => {
    const evil = '\u001b[2J\u202e';
    const server = await startRawServer(({ path, headers }) => {
      const origin = `http://${headers.host}`;
      if (path === '/mcp') return { status: 401, headers: { 'www-authenticate': 'Bearer' } };
      if (path.includes('protected-resource')) {
        return { status: 200, body: { resource: `${origin}/mcp`, authorization_servers: [origin] } };
      }
      return {
        status: 200,
        body: {
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          code_challenge_methods_supported: ['S256'],
          token_endpoint_auth_methods_supported: [`none${evil}`],
        },
      };
    });
    const result = await doctor(`${server.url}/mcp`);
    await server.close();
    expect(result.stdout).toContain('client authentication none [2J');
    expect(result.stdout).not.toContain('\u001b');
    expect(result.stdout).not.toContain('\u202e');
    expect(result.code).toBe(1);
  });
});
