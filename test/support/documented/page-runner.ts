/** Runs the command lines of one page as a reader would: one after the other, in one shell, in one directory. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBroker } from '../broker-process.ts';
import { freePort } from '../free-port.ts';
import type { Home } from '../home.ts';
import { MACHINE_SECRET } from '../machine-client.ts';
import type { DocumentedWorld } from './world.ts';

/** How a line ended. */
export interface LineResult {
  /** null for a daemon that goes on. */
  code: number | null;
  /** What a terminal would have shown, with the addresses of the documents in the place of ours. */
  output: string;
}

/** A reader at work. */
export interface PageRunner {
  /** Runs one line to its end; `broker serve` until it has said `lineCount` lines (default 1), and then on. */
  run(command: string, lineCount?: number): Promise<LineResult>;
  /** Makes an agent that was there before; its key takes the place of `mtb_…`. */
  addAgent(name: string, allow: string): Promise<void>;
  /** Stops the daemon, which must end well, and removes everything. */
  close(): Promise<void>;
}

const BIN = fileURLToPath(new URL('../../../bin/broker.js', import.meta.url));
const STDIO_SERVER = fileURLToPath(new URL('../stdio-server.js', import.meta.url));

/** Where the documents say that the daemon listens. */
const DOCUMENTED_DAEMON = '127.0.0.1:8787';

/** Ports that the documents choose; ours may be taken. */
const DOCUMENTED_PORTS = ['9000', '8765'];

const LINK = /http\S+\/auth\?\S+/;

/** Process groups of lines that have not ended. A run that is interrupted, or a line that hangs, leaves none behind. */
const running = new Set<number>();
process.once('exit', () => {
  for (const group of running) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // It has just ended by itself.
    }
  }
});

/** Puts a reader of these commands into a home. */
export async function openPageRunner(
  world: DocumentedWorld,
  kind: 'prepared' | 'new',
  commands: string[],
): Promise<PageRunner> {
  const home = await world.openHome(kind);
  const ended = commands.flatMap((command) => /\bbroker logout (\S+)/.exec(command)?.[1] ?? []);
  if (kind === 'prepared' && ended.length > 0) await world.signInAlone(home, ended);
  const directory = join(home.path, 'work');
  const root = join(home.path, 'root');
  const daemon = `127.0.0.1:${await freePort()}`;
  const ports = await Promise.all(DOCUMENTED_PORTS.map(async (port) => [port, String(await freePort())]));
  await prepare(home, directory);
  const env = {
    ...home.env,
    PATH: `${home.path}/bin:${home.env.PATH}`,
    BROKER_LISTEN: daemon,
    BROKER_URL: `http://${daemon}`,
  };
  let key = '';
  let serving: ReturnType<typeof start> | undefined;

  function adapt(command: string): string {
    let line = command.replaceAll('mtb_…', key).replaceAll(DOCUMENTED_DAEMON, daemon);
    // Who asks with a token of the platform asks another authorization server than people do.
    if (line.includes('--workload-token-file')) line = line.replace(/https:\S+/, world.workload);
    for (const [documented, ours] of world.addresses) line = line.replaceAll(documented, ours);
    for (const [documented, ours] of ports)
      line = line.replace(new RegExp(`(?<=[ :])${documented}\\b`, 'g'), ours ?? '');
    return line.replace(/(?<=[\s=])\/(?=(?:etc|opt|run|srv|var)\/)/g, `${root}/`);
  }

  function restore(output: string): string {
    let text = output.replaceAll(daemon, DOCUMENTED_DAEMON).replaceAll(`${directory}/`, '');
    for (const [documented, ours] of world.addresses) text = text.replaceAll(ours, documented);
    return text;
  }

  /** Begins a line in a shell that knows what the lines before it set. */
  function start(command: string) {
    const line = adapt(command);
    const script = `. ./.environment\n${line}\nended=$?\nexport -p > .environment\nexit $ended`;
    const child = spawn('sh', ['-c', script], {
      cwd: directory,
      env: { ...env, ...nameFor(command) },
      detached: true,
    });
    running.add(child.pid as number);
    void once(child, 'close').then(() => running.delete(child.pid as number));
    let output = '';
    const isLogin = /\bbroker login\b/.test(command);
    let isApproved = false;
    child.stdin.on('error', () => undefined);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const [link] = LINK.exec(output) ?? [];
        if (!isLogin || link === undefined || isApproved) return;
        isApproved = true;
        void world.approve(link).then((redirect) => goBack(line, redirect, child));
      });
    }
    if (!isLogin) child.stdin.end();
    return { child, ended: once(child, 'close'), output: () => restore(output) };
  }

  async function stop(): Promise<void> {
    if (serving === undefined) return;
    const { child, ended, output } = serving;
    serving = undefined;
    if (child.exitCode === null) process.kill(-(child.pid as number), 'SIGTERM');
    await ended;
    if (!output().endsWith('stopped\n')) throw new Error(`the daemon did not stop well:\n${output()}`);
  }

  return {
    async run(command, lineCount = 1) {
      await makeFiles(adapt(command), directory, home.env.HOME as string);
      const isServe = /^(?:npx )?broker serve\b/.test(command);
      if (isServe) await stop();
      const line = start(command);
      if (isServe) {
        serving = line;
        await Promise.race([line.ended, said(line, lineCount)]);
      } else {
        await line.ended;
      }
      return { code: line.child.exitCode, output: line.output() };
    },
    async addAgent(name, allow) {
      const { stdout } = await runBroker(['agent', 'add', name, '--allow', allow], { env });
      key = stdout.trim();
    },
    async close() {
      try {
        await stop();
      } finally {
        await home.remove();
      }
    },
  };
}

/** Settles when a program has said that it listens, and so many lines. */
async function said(line: { child: ChildProcessWithoutNullStreams; output(): string }, lineCount: number) {
  const isDone = () => /listening on/.test(line.output()) && line.output().split('\n').length > lineCount;
  const { stdout, stderr } = line.child;
  while (!isDone()) await Promise.race([once(stdout, 'data'), once(stderr, 'data')]);
}

async function prepare(home: Home, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await mkdir(`${home.path}/bin`);
  await writeFile(`${home.path}/bin/broker`, `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`);
  await chmod(`${home.path}/bin/broker`, 0o755);
  await writeFile(`${directory}/.environment`, '');
  // No terminal, no progress bar.
  await writeFile(`${home.env.HOME}/.curlrc`, 'silent\nshow-error\n');
  await copyFile(STDIO_SERVER, `${directory}/server.js`);
}

/** What the browser does with the redirect: goes there, or its address is pasted. */
async function goBack(
  line: string,
  redirect: string,
  { stdin }: ChildProcessWithoutNullStreams,
): Promise<void> {
  const { hostname, pathname, search } = new URL(redirect);
  const [, port] = /--callback-port (\d+)/.exec(line) ?? [];
  if (/--(?:paste|no-browser)\b/.test(line)) stdin.end(`${redirect}\n`);
  // Whoever has another redirect URI passes its callers on to this port.
  else if (hostname !== '127.0.0.1') await fetch(`http://127.0.0.1:${port}${pathname}${search}`);
  else await fetch(redirect);
}

/** The name that the address itself would give: ours has none. */
function nameFor(command: string): Record<string, string> {
  if (!/\bbroker login https:/.test(command) || / --name /.test(command)) return {};
  const [, host = ''] = /https:\/\/(?:mcp\.)?([a-z]+)/.exec(command) ?? [];
  return { BROKER_NAME: host };
}

/** Makes the files that a line reads, and the directories it writes to. */
async function makeFiles(line: string, directory: string, home: string): Promise<void> {
  for (const [, path = ''] of line.matchAll(/(?<=[\s=])((?:\/|~\/)[\w./-]+)/g)) {
    const place = path.replace(/^~/, home);
    await mkdir(place.endsWith('/') ? place : dirname(place), { recursive: true }).catch(() => undefined);
  }
  for (const [, option = '', path = ''] of line.matchAll(/--([a-z-]+-file) (\S+)/g)) {
    if (option === 'new-master-key-file') continue;
    const file = path.startsWith('/') ? path : join(directory, path);
    await writeFile(file, option === 'client-secret-file' ? MACHINE_SECRET : 'fake.secret.of-the-page', {
      mode: 0o600,
      flag: 'wx',
    }).catch(() => undefined);
  }
}
