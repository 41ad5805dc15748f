import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { eventsOf, expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { changeVault } from '../support/leases.ts';

let journey: Journey;

const addAgent = (name: string) =>
  journey.here((broker) =>
    broker.agents.add({
      name,
      allow: ['*'],
      modes: ['token'],
      admin: false,
      expiresAt: null,
      allowUnknown: true,
    }),
  );

beforeAll(async () => {
  journey = await startJourney();
  await journey.login();
  await addAgent('crm');
  await journey.here((broker) => broker.token(OPERATOR, 'demo'));
});

afterAll(() => journey.close());

const run = (...args: string[]) => journey.run(['audit', ...args]);

describe('an operator', () => {
  it('reads what happened, one line each, and as JSON', async () => {
    const [people, programs, some] = await Promise.all([
      run(),
      run('--json'),
      run('--since', '1h', '--connection', 'de*', '--action', 'login', '--limit', '1'),
    ]);
    expect([people.code, people.stderr]).toEqual([0, '']);
    expect(people.stdout).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}operator +login +demo +ok {2}\S+=/);
    expect(people.stdout).toMatch(/^\S+ {2}operator +agent\.add +- +ok {2}agent=crm {2}rights='\{/m);
    const entries = eventsOf(programs.stdout) as unknown as { at: string; sequence: number }[];
    expect(entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    expect(entries[0]).toMatchObject({
      at: expect.stringMatching(/\.\d{3}Z$/),
      actor: 'operator',
      action: 'login',
    });
    expect(some.stdout.trimEnd().split('\n')).toEqual([people.stdout.split('\n')[0]]);
  });

  it('follows what happens, until told to stop', async () => {
    const following = journey.start(['audit', '--follow', '--json', '--limit', '1']);
    await following.waitFor(/"sequence":3/);
    await addAgent('seen');
    await following.waitFor(/"agent":"seen"/);
    following.process.kill('SIGINT');
    expect(await following.exited).toBe(0);
    expect(following.stderr()).toBe('the newest 1 of more; --limit all shows every one\n');
    expect(eventsOf(following.stdout())).toHaveLength(2);
  });

  it('ends quietly with whoever reads it', async () => {
    const following = journey.start(['audit', '--follow', '--json']);
    await following.waitFor(/"sequence":1/);
    following.process.stdout.destroy();
    await addAgent('unseen');
    expect([await following.exited, following.stderr()]).toEqual([0, '']);
  });

  it('is told whether it is as it was written, and gets a note of it', async () => {
    const { code, stdout, stderr } = await run('verify');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^intact: \d+ rows, from \S+Z to \S+Z\n {2}note: \d+:[0-9a-f]{16}\n$/);
    expect(stderr).toContain('broker audit verify --expect <note>');
    const note = /note: (\S+)/.exec(stdout)?.[1] as string;
    expect((await run('verify', '--expect', note, '--at-least', '3', '--json')).code).toBe(0);
  });

  it('finds out what somebody changed, and that nothing is removed from then on', async () => {
    changeVault(journey.vaultPath, "UPDATE audit SET actor = 'nobody' || char(27) WHERE sequence = 2");
    const { code, stdout, stderr } = await run('verify');
    expect(code).toBe(2);
    expect(stdout).toMatch(
      /^not intact: \d+ rows, from .*\n {2}row 2 is not as it was written \(time \S+, writer \S+\)\n$/,
    );
    expect(stderr).toBe('nothing was changed now; keep a copy of the vault for whoever looks into it\n');
    expectFailure(await run('prune', '--older-than', '1s'), 3, /not as it was written from row 2 on/);
  });

  it('reads the first of many', () => {
    changeVault(
      journey.vaultPath,
      `WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 20000)
       INSERT INTO audit SELECT 1000 + n, 'w', 5, 'somebody', 'call', NULL, 'ok', '{}', 'm' FROM more`,
    );
    const piped = `"$0" "$1" audit --json | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const bin = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));
    const env = { ...journey.home.env };
    const output = execFileSync('bash', ['-c', piped, process.execPath, bin], { env, encoding: 'utf8' });
    const [line = '', code] = output.split('\n');
    expect(JSON.parse(line)).toMatchObject({ sequence: 1001 });
    expect(code).toBe('0');
  });
});
