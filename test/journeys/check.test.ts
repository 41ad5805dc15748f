import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { Secret } from '../../src/secret.ts';
import { freePort } from '../support/free-port.ts';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';

const PROMTOOL = '/usr/bin/promtool';

let journey: Journey;
let notes: HeaderServer;
let nowhere: string;
let file: string;

const BEARER = { authorization: 'Bearer fake-pat-1234567890' };

/** A credential entered by hand. */
const enter = (name: string, url: string) =>
  journey.here((broker) =>
    broker.addStatic({ name, url, credential: { kind: 'bearer', token: new Secret('fake-pat-1234567890') } }),
  );
const check = (...args: string[]) => journey.run(['check', ...args]);

beforeAll(async () => {
  journey = await startJourney();
  notes = await startHeaderServer(BEARER);
  nowhere = `http://127.0.0.1:${await freePort()}/mcp`;
  expect((await journey.login()).code).toBe(0);
  expect(await enter('notes', notes.url)).toBe(0);
});

afterAll(async () => {
  await journey.close();
  await notes.close();
});

/** One story; each test is its next chapter. */
describe('what cron sees', () => {
  it('is nothing while all is well, also when every server is called', async () => {
    const [plain, probed, json] = await Promise.all([check(), check('--probe'), check('--json', '--probe')]);
    expect(plain).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(probed).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject([
      { connection: 'demo', exit_code: 0, refresh_token_age: expect.any(Number), probe: { ok: true } },
      { connection: 'notes', exit_code: 0, probe: { ok: true, status: 200 } },
    ]);
  });

  it('is a line for each that needs attention, with the command, and the worst exit code', async () => {
    notes.want({ authorization: 'Bearer fake-other' });
    await enter('away', nowhere);
    const { code, stdout, stderr } = await check('--probe');
    expect([code, stderr]).toEqual([2, '']);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^down {2}away: .* cannot be reached: the connection was refused → broker doctor away$/,
      ),
      'act   notes: the server refuses the credential (401) → broker add notes --bearer-file <file>',
      '',
    ]);
    expect(await check('away', 'nobody', '--quiet')).toEqual({ code: 2, stdout: '', stderr: '' });
  });

  it('is one line for Nagios, with its exit codes', async () => {
    file = join(journey.home.path, 'broker.prom');
    const [fine, bad, none] = await Promise.all([
      check('demo', '--probe', '--nagios'),
      check('--probe', '--nagios', '--prometheus-file', file),
      journey.run(['check', '--nagios'], { env: { BROKER_HOME: '/nonexistent' } }),
    ]);
    expect([fine.code, fine.stderr]).toEqual([0, '']);
    expect(fine.stdout).toMatch(/^BROKER OK - 1 connection fine \| fine=1;;;0 .* 'demo token'=3\d\d\ds\n$/);
    expect([bad.code, bad.stderr]).toEqual([2, '']);
    expect(bad.stdout).toMatch(
      /^BROKER CRITICAL - notes: .*401.*; away: .*; 1 connection fine \| [^|\n]*\n$/,
    );
    expect([none.code, none.stderr]).toEqual([3, '']);
    expect(none.stdout).toMatch(/^BROKER UNKNOWN - [^|\n]+\n$/);
  });

  const hasPromtool = existsSync(PROMTOOL);
  it.skipIf(!hasPromtool)(
    `is a file that Prometheus takes${hasPromtool ? '' : ' (promtool is not installed)'}`,
    () => {
      const text = readFileSync(file, 'utf8');
      expect(execFileSync(PROMTOOL, ['check', 'metrics'], { input: text, encoding: 'utf8' })).toBe('');
      expect(text).toContain('\nmcp_token_broker_connection_state{connection="demo",state="ok"} 1\n');
      expect(text).toContain('\nmcp_token_broker_check_exit_code 2\n');
      expect(statSync(file).mode & 0o777).toBe(0o644);
    },
  );

  it('is a file also when nobody could look, or when it cannot be written', async () => {
    const lostFile = join(journey.home.path, 'none.prom');
    const env = { BROKER_HOME: '/nonexistent' };
    const [lost, unwritten] = await Promise.all([
      journey.run(['check', '--prometheus-file', lostFile], { env }),
      check('notes', '--probe', '--prometheus-file', '/nonexistent/x.prom'),
    ]);
    expect(lost.code).toBe(3);
    expect(readFileSync(lostFile, 'utf8')).toContain('mcp_token_broker_check_exit_code 3\n');
    expect(unwritten.stdout).toContain('act   notes: ');
    expect(unwritten.stderr).toContain('/nonexistent/x.prom cannot be written (ENOENT)');
    expect(unwritten.code).toBe(64);
  });
});

describe('broker serve --require', () => {
  it('does not start without what does not work: all of it is told, and the worst is the exit code', async () => {
    const { code, stdout, stderr } = await journey.run([
      ...['serve', '--listen', '127.0.0.1:0'],
      ...['--require', 'demo', '--require', 'notes', '--require', 'away', '--require', 'nobody'],
    ]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(
      'error: notes is required, and does not work: the server refuses the credential (401)',
    );
    expect(stderr).toContain('  → broker add notes --bearer-file <file>\n');
    expect(stderr).toContain('error: away is required, and does not work: ');
    expect(stderr).toContain('error: nobody is required, and does not work: there is no connection nobody');
    expect(stderr).not.toMatch(/demo|listening/);
    expect((await journey.run(['serve', '--require', 'away'])).code).toBe(75);
    expectFailure(await journey.run(['serve', '--require', 'de*']), 64, /"de\*" is no connection name/);
  });

  it('starts with what works, and tells which connections are fine', async () => {
    notes.want(BEARER);
    const { process, url } = await journey.serve(['--require', 'demo', '--require', 'notes']);
    await process.waitFor(/✔ away: +ok\n +✔ demo: +ok\n +✔ notes: +ok\n/, 'stderr');
    notes.want({ authorization: 'Bearer fake-other' });
    const key = await journey.addAgent('cron', 'demo', 'notes');
    const env = { BROKER_AGENT_KEY: key, BROKER_URL: url, BROKER_HOME: '/nonexistent' };
    const [asked, nagios] = await Promise.all([
      journey.run(['check', '--probe', '--json'], { env }),
      journey.run(['check', '--probe', '--nagios'], { env }),
    ]);
    expect(JSON.parse(asked.stdout)).toMatchObject([
      { connection: 'demo', exit_code: 0, probe: { ok: true } },
      { connection: 'notes', exit_code: 2, probe: { ok: false, status: 401 } },
    ]);
    expect([asked.code, nagios.code]).toEqual([2, 2]);
    await process.stop();
    expectFailure(await journey.run(['check', 'demo', 'notes'], { env }), 3, /no broker daemon answers/);
    expect(await journey.here((broker) => broker.list(OPERATOR))).toBe(0);
  });
});
