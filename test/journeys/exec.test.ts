import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { changeAnswer } from '../support/changed-answer.ts';
import { type Journey, startJourney } from '../support/journey.ts';
import { callTool } from '../support/mcp-client.ts';
import { prepareDemo, withBroker } from '../support/prepare.ts';

const NODE = process.execPath;
const BIN = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));

let journey: Journey;
let agent: Record<string, string>;

beforeAll(async () => {
  journey = await startJourney();
  const key = await prepareDemo(journey);
  agent = { BROKER_URL: (await journey.serve()).url, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' };
});

afterAll(() => journey.close());

/** As agent, unless told otherwise: that starts sooner, and what happens to the program is the same. */
const exec = (args: string[], options: { env?: Record<string, string>; input?: string } = {}) =>
  journey.run(['exec', 'demo', ...args], { env: agent, ...options });

/** In a terminal of its own: presses Ctrl-C when the program is ready, then ends it, and prints its exit code. */
const CTRL_C = `
import os, pty, signal, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
def until(word):
    global seen
    while word not in seen:
        seen += os.read(terminal, 4096)
until(b"ready")
os.write(terminal, b"\\x03")
until(b"interrupted")
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`;

/** Prints its whole environment as JSON. */
const PRINT_ENVIRONMENT = ['--', NODE, '-p', 'JSON.stringify(process.env)'];

describe('broker exec', () => {
  it('gives the program a token that works and the URL it is for, as operator and as agent', async () => {
    for (const running of [{}, agent].map((env) => exec(PRINT_ENVIRONMENT, { env }))) {
      const { code, stdout, stderr } = await running;
      expect([code, stderr]).toEqual([0, '']);
      const seen = JSON.parse(stdout) as Record<string, string>;
      expect(seen.MCP_SERVER_URL).toBe(journey.mcp.url);
      expect(await callTool(journey.mcp.url, seen.MCP_ACCESS_TOKEN as string, 'whoami')).toBe('alice');
    }
  });

  it('names the variable as --env says', async () => {
    const { stdout } = await exec(['--env', 'GITHUB_TOKEN', ...PRINT_ENVIRONMENT]);
    const seen = JSON.parse(stdout) as Record<string, string>;
    expect(seen.GITHUB_TOKEN).toMatch(/^\S{20,}$/);
    expect(seen.MCP_ACCESS_TOKEN).toBeUndefined();
  });

  it('hands on neither agent key nor master key, nor what leads to them', async () => {
    const configDirectory = journey.home.env.XDG_CONFIG_HOME as string;
    const masterKey = join(configDirectory, 'mcp-token-broker', 'master.key');
    const keyFile = join(journey.home.path, 'agent.key');
    writeFileSync(keyFile, agent.BROKER_AGENT_KEY as string, { mode: 0o600 });
    const secrets = [
      { ...agent, BROKER_AGENT_KEY_FILE: keyFile },
      { ...agent, BROKER_AGENT_KEY: '', BROKER_AGENT_KEY_FILE: keyFile },
      { BROKER_MASTER_KEY: readFileSync(masterKey, 'utf8').trim(), BROKER_MASTER_KEY_COMMAND: 'echo no' },
      { BROKER_MASTER_KEY_FILE: masterKey },
    ];
    const runs = secrets.map((env) => exec(PRINT_ENVIRONMENT, { env: { ...env, OTHER: 'kept' } }));
    for (const { code, stdout, stderr } of await Promise.all(runs)) {
      expect(code, stderr).toBe(0);
      const seen = JSON.parse(stdout) as Record<string, string>;
      expect(seen.OTHER).toBe('kept');
      expect(Object.keys(seen).filter((name) => /^BROKER_(AGENT|MASTER)_KEY/.test(name))).toEqual([]);
    }
  });

  it('leaves stdin, stdout, stderr and the arguments to the program', async () => {
    const script = 'process.stdin.pipe(process.stdout); console.error(process.argv.slice(1).join("|"))';
    const { stdout, stderr } = await exec(['--', NODE, '-e', script, '--', '--json', 'a b', '$HOME'], {
      input: 'through',
    });
    expect([stdout, stderr]).toEqual(['through', '--json|a b|$HOME\n']);
  });

  it.concurrent.each([0, 1, 64, 255])('exits with %i when the program does', async (code) => {
    expect((await exec(['--', NODE, '-e', `process.exit(${code})`])).code).toBe(code);
  });

  it('exits with 128 and the number of the signal that ended the program', async () => {
    const killedBy = (signal: string) => exec(['--', NODE, '-e', `process.kill(process.pid, "${signal}")`]);
    const [killed, terminated] = await Promise.all(['SIGKILL', 'SIGTERM'].map(killedBy));
    expect([killed?.code, terminated?.code]).toEqual([137, 143]);
  });

  it.concurrent.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'passes %s on, and waits for the end',
    async (signal) => {
      const script = `process.on('${signal}', () => { console.log('got it'); process.exit(7); });
      setInterval(() => {}, 1000); console.log('ready')`;
      const running = journey.start(['exec', 'demo', '--', NODE, '-e', script], agent);
      await running.waitFor(/ready/);
      expect(await running.stop(signal)).toBe(7);
      expect(running.stdout()).toBe('ready\ngot it\n');
    },
  );

  it('lets Ctrl-C in a terminal count once', async () => {
    // A second SIGINT would come before the SIGTERM: the broker passes them on in order.
    const script = `let count = 0; process.on('SIGINT', () => { count += 1; console.log('interrupted'); });
      process.on('SIGTERM', () => process.exit(count)); setInterval(() => {}, 1000); console.log('ready')`;
    const command = [NODE, BIN, 'exec', 'demo', '--', NODE, '-e', script];
    const { stdout } = await promisify(execFile)('python3', ['-c', CTRL_C, ...command], {
      env: journey.home.env,
    });
    expect(stdout).toBe('1\n');
  });

  it('exits 127 for a program that is not there, and 126 for one that cannot be run', async () => {
    const file = join(journey.home.path, 'not-executable');
    writeFileSync(file, 'text', { mode: 0o600 });
    const [missing, unusable] = await Promise.all([exec(['--', 'no-such-program']), exec(['--', file])]);
    expect([missing.code, missing.stdout]).toEqual([127, '']);
    expect(missing.stderr).toMatch(/^error: "no-such-program" was not found\n {2}→ /);
    expect([unusable.code, unusable.stdout]).toEqual([126, '']);
    expect(unusable.stderr).toContain('cannot be run (EACCES)');
  });

  it.concurrent.each([
    [['exec']],
    [['exec', 'demo']],
    [['exec', 'demo', '--nonsense', '--', 'true']],
    [['exec', 'demo', '--env', 'A=B', '--', 'true']],
    [['exec', 'other', '--', 'claude', '--json']],
    [['--config', '/nonexistent', 'exec', 'demo', '--', 'true']],
  ])('exits 125 when it fails before the start, with nothing on stdout: %j', async (args) => {
    const { code, stdout, stderr } = await journey.run(args);
    expect([code, stdout]).toEqual([125, '']);
    expect(stderr).toMatch(/^error: /);
  });

  it('exits 125 also when an agent may not have the token', async () => {
    const env = { ...agent, BROKER_AGENT_KEY: 'mtb_wrong' };
    expect(await exec(['--', 'true'], { env })).toMatchObject({ code: 125, stdout: '' });
  });

  it('writes the token nowhere', async () => {
    const token = await journey.servedToken();
    const files = readdirSync(journey.home.path, { recursive: true, encoding: 'utf8' })
      .map((each) => join(journey.home.path, each))
      .filter((each) => statSync(each).isFile());
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) expect(readFileSync(file).includes(token), file).toBe(false);
  });
});

describe('a token that is a snapshot', () => {
  it('is said to be one when it ends soon or nobody knows when', async () => {
    const short = await startJourney({ authorizationServer: { accessTokenSeconds: () => 60 } });
    try {
      await prepareDemo(short);
      const soon = await short.run(['exec', 'demo', '--', 'true']);
      expect(soon.code).toBe(0);
      expect(soon.stderr).toMatch(/^warning: the token of demo ends in \d+ s, and .* snapshot/);
      short.authorizationServer.fail((request) =>
        request.grantType === 'refresh_token'
          ? changeAnswer(request, ({ expires_in: _, ...body }) => body)
          : undefined,
      );
      await withBroker(short, (broker) => broker.refresh(OPERATOR, 'demo'));
      const unknown = await short.run(['exec', 'demo', '--', 'true']);
      expect(unknown.stderr).toMatch(/^warning: nobody knows when the token of demo ends/);
    } finally {
      await short.close();
    }
  });
});
