import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { prepareDemo, withBroker } from '../support/prepare.ts';
import { secretsSeenBy } from '../support/secrets-seen.ts';

const NODE = process.execPath;

let journey: Journey;
let agent: Record<string, string>;
let directory: string;

beforeAll(async () => {
  journey = await startJourney();
  const key = await prepareDemo(journey);
  agent = { BROKER_URL: (await journey.serve()).url, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' };
  directory = join(journey.home.path, 'store');
  mkdirSync(directory);
});

afterAll(() => journey.close());

/** As agent, unless told otherwise: that starts sooner, and what is handed over is the same. */
const push = (args: string[], env: Record<string, string> = agent) =>
  journey.run(['push', 'demo', ...args], { env });
const place = (name: string) => join(directory, name);
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

describe('broker push --file', () => {
  it('writes the token and its end, for the owner only, as operator and as agent', async () => {
    for (const env of [{}, agent]) {
      const { code, stdout, stderr } = await push(['--file', place('token.json')], env);
      expect([code, stdout]).toEqual([0, '']);
      const written = readJson(place('token.json'));
      expect(written).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_at: expect.stringMatching(/^\d{4}-.*Z$/),
        refresh_after: expect.stringMatching(/^\d{4}-.*Z$/),
        scope: 'mcp:all',
        resource: journey.mcp.url,
        server_url: journey.mcp.url,
        connection: 'demo',
        generation: 1,
      });
      expect(statSync(place('token.json')).mode & 0o777).toBe(0o600);
      expect(await callTool(journey.mcp.url, written.access_token as string, 'whoami')).toBe('alice');
      expect(stderr).toBe(`✔ the token of demo was handed over; it ends at ${written.expires_at}\n`);
    }
  });

  it('replaces what was there as a whole: its mode, and a link rather than what it leads to', async () => {
    const elsewhere = join(journey.home.path, 'elsewhere');
    writeFileSync(elsewhere, 'untouched');
    symlinkSync(elsewhere, place('link'));
    writeFileSync(place('open'), 'old', { mode: 0o644 });
    chmodSync(place('open'), 0o644);
    const pushed = ['link', 'open'].map((name) => push(['--file', place(name)]));
    expect((await Promise.all(pushed)).map(({ code }) => code)).toEqual([0, 0]);
    for (const name of ['link', 'open']) {
      expect([lstatSync(place(name)).isFile(), lstatSync(place(name)).mode & 0o777]).toEqual([true, 0o600]);
    }
    expect(readFileSync(elsewhere, 'utf8')).toBe('untouched');
    expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('writes the bare token, or variables, as --format says', async () => {
    const token = await journey.servedToken();
    const { expires_at } = readJson(place('token.json'));
    const pushed = ['token', 'env'].map((format) => push(['--file', place(format), '--format', format]));
    expect((await Promise.all(pushed)).map(({ code }) => code)).toEqual([0, 0]);
    expect(readFileSync(place('token'), 'utf8')).toBe(`${token}\n`);
    expect(readFileSync(place('env'), 'utf8')).toBe(
      `MCP_ACCESS_TOKEN=${token}\nMCP_TOKEN_EXPIRES_AT=${expires_at}\nMCP_SERVER_URL=${journey.mcp.url}\n`,
    );
  });

  it.concurrent.each([
    [[], /pushed to one place/],
    [['--file', 'a', '--command', 'cat'], /pushed to one place/],
    [['--file', 'a', '--', 'b'], /takes no further arguments/],
    [['--file', '/nonexistent/token'], /there is no directory \/nonexistent/],
    [['--file', '/'], /it is a directory/],
  ])('exits 64 for %j', async (args, what) => {
    expectFailure(await push(args as string[]), 64, what as RegExp);
  });

  it('exits 75 when it cannot write there', async () => {
    const result = await push(['--file', '/proc/token.json']);
    expectFailure(result, 75, /^error: \/proc\/token\.json cannot be written \(E[A-Z]+\)$/);
  });

  it('fails as broker token does where there is no token to have', async () => {
    expectFailure(
      await journey.run(['push', 'other', '--file', place('other')], { env: agent }),
      2,
      /no connection other/,
    );
    expect(existsSync(place('other'))).toBe(false);
  });
});

describe('broker push --command', () => {
  const SHOW = 'process.stdin.pipe(process.stdout); console.error(JSON.stringify(process.argv.slice(1)))';

  it('gives the token to the program on stdin, and its arguments without a shell', async () => {
    const { code, stdout, stderr } = await push(['--command', NODE, '--', '-e', SHOW, 'a b', '$HOME', ';']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ connection: 'demo', token_type: 'Bearer' });
    expect(stderr).toContain('["a b","$HOME",";"]\n');
  });

  it('keeps our keys from the program', async () => {
    const script = 'console.log(Object.keys(process.env).filter((name) => name.includes("KEY")).join())';
    expect((await push(['--command', NODE, '--', '-e', script], agent)).stdout).toBe('\n');
  });

  it('is content with a program that does not read its stdin', async () => {
    expect((await push(['--command', 'true'])).code).toBe(0);
  });

  it('exits 75 when the program fails or is not there', async () => {
    const [failing, missing] = await Promise.all([
      push(['--command', NODE, '--', '-e', 'process.exit(3)']),
      push(['--command', 'no-such-program']),
    ]);
    expectFailure(failing, 75, /ended with code 3$/);
    expectFailure(missing, 75, /could not be started \(ENOENT\)$/);
  });
});

describe('a token that does not end soon', () => {
  it.each([
    ['has no known end', ({ expires_in: _, ...body }: Record<string, unknown>) => body],
    ['lives for more than a week', (body: Record<string, unknown>) => ({ ...body, expires_in: 8 * 86_400 })],
  ])('is refused when it %s, unless that is allowed', async (what, change) => {
    journey.authorizationServer.fail((request) =>
      request.grantType === 'refresh_token' ? changeAnswer(request, change) : undefined,
    );
    await withBroker(journey, (broker) => broker.refresh(OPERATOR, 'demo'));
    const file = place('long');
    const [refused, allowed] = await Promise.all([
      push(['--file', file]),
      push(['--file', place('allowed'), '--allow-long-lived']),
    ]);
    expectFailure(refused, 64, new RegExp(what));
    expect(existsSync(file)).toBe(false);
    expect(allowed.code).toBe(0);
    expect(readJson(place('allowed'))).toMatchObject({ connection: 'demo' });
    journey.authorizationServer.fail(undefined);
  });
});

describe.concurrent('broker push --watch', () => {
  it('hands over each newer token in time, until it is stopped', async () => {
    const quick = await startJourney({ authorizationServer: { accessTokenSeconds: () => 10 } });
    try {
      await prepareDemo(quick);
      const file = join(quick.home.path, 'token.json');
      const watching = quick.start(['push', 'demo', '--file', file, '--watch']);
      await watching.waitFor(/handed over/, 'stderr');
      const first = readJson(file);
      await watching.waitFor(/handed over.*\n.*handed over/, 'stderr');
      const later = readJson(file);
      expect(later.generation).toBe(2);
      expect(statSync(file).mtimeMs).toBeLessThan(Date.parse(String(first.expires_at)));
      expect(await callTool(quick.mcp.url, later.access_token as string, 'whoami')).toBe('alice');
      expect(await watching.stop('SIGTERM')).toBe(0);
      expect(watching.stderr()).toContain('stopped; what was handed over last stays where it is');
      expect(existsSync(file)).toBe(true);
    } finally {
      await quick.close();
    }
  });

  it('tells of a failure that can pass, and goes on', async () => {
    const quick = await startJourney({ authorizationServer: { accessTokenSeconds: () => 3 } });
    try {
      await prepareDemo(quick);
      const file = join(quick.home.path, 'token.json');
      const watching = quick.start(['push', 'demo', '--file', file, '--watch']);
      await watching.waitFor(/handed over/, 'stderr');
      const before = readJson(file);
      quick.authorizationServer.fail(() => ({ status: 503 }));
      await watching.waitFor(/warning: .*; trying again in 30 s/, 'stderr');
      expect(readJson(file)).toEqual(before);
      expect(await watching.stop('SIGINT')).toBe(0);
    } finally {
      await quick.close();
    }
  });

  it('ends at once when the first token cannot be had', async () => {
    const env = { ...agent, BROKER_AGENT_KEY: 'mtb_wrong' };
    expectFailure(await push(['--file', place('none'), '--watch'], env), 77, /agent key is not valid/);
  });
});

describe('whatever was pushed', () => {
  it('holds no refresh token and no other secret than the access token', () => {
    const secrets = [...secretsSeenBy(journey.authorizationServer)].filter(
      ([, field]) => field !== 'access_token',
    );
    expect(secrets.map(([, field]) => field)).toContain('refresh_token');
    const files = readdirSync(directory).map((name) => readFileSync(place(name), 'utf8'));
    expect(files.length).toBeGreaterThan(4);
    for (const text of files) for (const [secret] of secrets) expect(text).not.toContain(secret);
  });
});
