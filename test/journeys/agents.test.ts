/** Agents as an operator keeps them while the daemon runs: everything said counts at the very next request. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';

let journey: Journey;
let url: string;

beforeAll(async () => {
  journey = await startJourney();
  const { code, stderr } = await journey.login();
  expect(code, stderr).toBe(0);
  url = (await journey.serve()).url;
});

afterAll(() => journey.close());

/** What the command prints; it must have worked. */
async function agent(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await journey.run(['agent', ...args]);
  expect(code, stderr).toBe(0);
  return { stdout, stderr };
}

const addAgent = async (name: string, ...args: string[]) =>
  (await agent('add', name, '--allow', 'demo', ...args)).stdout.trim();
const shown = async (name: string) => JSON.parse((await agent('show', name, '--json')).stdout);
const ask = (key: string, path = '/v1/connections/demo/token') =>
  call(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } });
const statusFor = async (key: string) => (await ask(key)).status;

describe('while the daemon runs', () => {
  it('broker agent set counts at the next request', async () => {
    const key = await addAgent('set-bot');
    expect(await statusFor(key)).toBe(200);
    await agent('set', 'set-bot', '--mode', 'gateway');
    const refused = await ask(key);
    expect([refused.status, refused.json.next_step]).toEqual([
      403,
      'broker agent set set-bot --mode gateway,token',
    ]);
    // The next step, as it was told.
    await agent(...String(refused.json.next_step).split(' ').slice(2));
    expect(await statusFor(key)).toBe(200);
    await agent('set', 'set-bot', '--add-allow', 'other@*', '--remove-allow', 'demo');
    expect(await statusFor(key)).toBe(404);
    const { stderr } = await agent('set', 'set-bot', '--allow', 'demo', '--expires', '90d', '--admin');
    expect(stderr).toMatch(
      /^✔ agent set-bot may use demo \(token, gateway\); until \d{4}-\S+Z; as an admin\n$/,
    );
    expect(await statusFor(key)).toBe(200);
  });

  it('a rate refuses with 429, the command of the agent with 75, and the operator never', async () => {
    const key = await addAgent('rate-bot', '--rate', '2/h');
    expect([await statusFor(key), await statusFor(key)]).toEqual([200, 200]);
    const { status, headers, json } = await ask(key);
    expect([status, headers['retry-after'], json.code]).toEqual([429, '1800', 'rate_limited']);
    expectFailure(
      await journey.run(['token', 'demo'], { env: { BROKER_URL: url, BROKER_AGENT_KEY: key } }),
      75,
      /^error: the agent rate-bot asks more often than 2\/h$/,
    );
    expect((await journey.run(['token', 'demo'])).code).toBe(0);
    await agent('set', 'rate-bot', '--no-rate');
    for (let each = 0; each < 5; each += 1) expect(await statusFor(key)).toBe(200);
  });

  it('a rotated key works beside the new one until its overlap ends, and revoke ends both', async () => {
    const first = await addAgent('key-bot');
    const { stdout, stderr } = await agent('rotate', 'key-bot');
    const second = stdout.trim();
    expect(stdout).toMatch(/^mtb_[\w-]{43}\n$/);
    expect(stderr).toContain(`the old key ${first.slice(0, 10)}… works until `);
    expect(stderr).toContain('in 24 h');
    expect([await statusFor(first), await statusFor(second)]).toEqual([200, 200]);
    expect((await agent('list')).stdout).toMatch(
      new RegExp(
        `^key-bot +active +${second.slice(0, 10)}… +${first.slice(0, 10)}…, used \\d+ s ago, ends in 24 h `,
        'm',
      ),
    );

    const third = JSON.parse((await agent('rotate', 'key-bot', '--overlap', '0', '--json')).stdout).key;
    expect([await statusFor(first), await statusFor(second), await statusFor(third)]).toEqual([
      401, 401, 200,
    ]);

    const fourth = (await agent('rotate', 'key-bot', '--overlap', '1h')).stdout.trim();
    expect([await statusFor(third), await statusFor(fourth)]).toEqual([200, 200]);
    await agent('revoke', 'key-bot');
    expect([await statusFor(third), await statusFor(fourth)]).toEqual([401, 401]);
  });
});

describe('broker agent', () => {
  it('show tells policy, end, use, what it sees and what is not there', async () => {
    await agent(
      ...['add', 'full-bot', '--allow', 'demo', '--allow', 'demo@*', '--mode', 'gateway'],
      ...['--tool-allow', 'read_*', '--tool-allow', 'demo:echo', '--tool-deny', 'demo:read_secret'],
      ...['--rate', '600/m', '--expires', '2999-01-31'],
    );
    expect(await shown('full-bot')).toEqual({
      ...{ name: 'full-bot', status: 'active', admin: false, rate: '600/m', modes: ['gateway'] },
      key_prefix: expect.stringMatching(/^mtb_/),
      ...{ allow: ['demo', 'demo@*'], connections: ['demo'], unmatched: ['demo@*'] },
      ...{ tool_allow: ['read_*', 'demo:echo'], tool_deny: ['demo:read_secret'] },
      ...{ created_at: expect.any(String), expires_at: '2999-01-31T00:00:00Z' },
    });
    const { stdout } = await agent('show', 'full-bot');
    expect(stdout).toMatch(/^matches nothing demo@\*$/m);
    expect(stdout).toMatch(/^ends +2999-01-31T00:00:00Z \(in \d+ days\)$/m);
    await agent('set', 'full-bot', '--no-tool-allow', '--no-tool-deny', '--no-expires', '--no-rate');
    const { stdout: after } = await agent('show', 'full-bot');
    expect(after).toMatch(/^tools +all that are not denied$/m);
    expect(after).toMatch(/^rate +no limit$/m);
    expect(after).toMatch(/^ends +never$/m);
    expect(after).not.toContain('denied tools');
  });

  it('rules and limits of the gateway are shown, and taken back', async () => {
    const rules = ['--prompt-deny', 'secret_*', '--resource-allow', 'file:///public/*'];
    await addAgent('gate-bot', ...rules, '--concurrency', '3', '--max-body', '1MB', '--idle-timeout', '90s');
    expect(await shown('gate-bot')).toMatchObject({
      ...{ prompt_deny: ['secret_*'], resource_allow: ['file:///public/*'] },
      ...{ concurrency: 3, max_body: '1MB', idle_timeout: '90s' },
    });
    const { stdout } = await agent('show', 'gate-bot');
    expect(stdout).toMatch(/^largest request 1MB$/m);
    expect(stdout).toMatch(/^call timeout +1h \(default\)$/m);
    await agent(
      ...['set', 'gate-bot', '--max-body', 'default', '--no-concurrency', '--no-idle-timeout'],
      ...['--no-prompt-deny', '--no-resource-allow'],
    );
    const after = Object.keys(await shown('gate-bot'));
    for (const gone of ['prompt_deny', 'resource_allow', 'concurrency', 'max_body', 'idle_timeout'])
      expect(after).not.toContain(gone);
    const before = await shown('gate-bot');
    for (const [option, value] of [
      ['--concurrency', '0'],
      ['--max-body', '0MB'],
      ['--idle-timeout', '0s'],
      ['--call-timeout', '9999d'],
      ['--resource-deny', 'a b'],
      ['--prompt-allow', ''],
    ] as const)
      expectFailure(await journey.run(['agent', 'set', 'gate-bot', option, value]), 64, /^error: ./);
    expect(await shown('gate-bot')).toEqual(before);
  });

  it('set is not moved by defaults for new agents in the config file', async () => {
    const config = join(journey.home.path, 'agents.json');
    writeFileSync(
      config,
      JSON.stringify({ rate: '5/m', expires: '9d', mode: ['token', 'gateway'], json: true }),
    );
    await journey.run(['--config', config, 'agent', 'add', 'config-bot', '--allow', 'demo']);
    const made = await shown('config-bot');
    expect(made).toMatchObject({ rate: '5/m', modes: ['token', 'gateway'], expires_at: expect.any(String) });
    await agent('set', 'config-bot', '--rate', '7/m', '--no-expires', '--mode', 'token');
    const { code, stdout } = await journey.run(['--config', config, 'agent', 'set', 'config-bot', '--admin']);
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ rate: '7/m', admin: true })]);
    expect(JSON.parse(stdout)).toMatchObject({ modes: ['token'] });
    expect(JSON.parse(stdout)).not.toHaveProperty('expires_at');
  });

  it('set hears the environment, in which nobody becomes an admin by mistake', async () => {
    const set = (env: Record<string, string>) =>
      journey.run(['agent', 'set', 'env-bot', '--json'], { env }).then(({ stdout }) => JSON.parse(stdout));
    await addAgent('env-bot');
    expect(await set({ BROKER_RATE: '8/m', BROKER_ADD_ALLOW: 'a@* b@*' })).toMatchObject({
      rate: '8/m',
      allow: ['demo', 'a@*', 'b@*'],
    });
    expect(await set({ BROKER_NO_ADMIN: '0', BROKER_MODE: 'token' })).toMatchObject({ admin: false });
    expect(await set({ BROKER_ADMIN: '1', BROKER_NO_RATE: '0' })).toMatchObject({ admin: true, rate: '8/m' });
    expect(await set({ BROKER_NO_ADMIN: '1' })).toMatchObject({ admin: false });
  });

  it('exits 64 with the reason for what cannot be, and changes nothing', async () => {
    const before = (await agent('list', '--json')).stdout;
    const refusals: [string[], RegExp][] = [
      [['add', ' ', '--allow', 'demo'], /^error: "" is not an agent name$/],
      [['add', 'new-bot', '--allow', 'dmeo'], /^error: there is no connection dmeo to allow$/],
      [['add', 'new-bot', '--allow', 'demo', '--rate', '0/m'], /^error: a rate of 0 would refuse every/],
      [['set', 'full-bot'], /^error: nothing is named that should change$/],
      [['rotate', 'full-bot', '--overlap', '31d'], /^error: the old key would work longer than 30 days$/],
    ];
    for (const [args, what] of refusals) expectFailure(await journey.run(['agent', ...args]), 64, what);
    expect((await agent('list', '--json')).stdout).toBe(before);
  });

  it('exits 2 for nobody', async () => {
    expectFailure(await journey.run(['agent', 'rotate', 'nobody']), 2, /^error: there is no agent nobody$/);
  });
});
