/**
 * `npm run bench -- gateway`: the gateway of the built daemon beside a bare reverse proxy that does the same work, in
 * turns, in one run. Figures are ratios; absolute ones say more about the machine.
 */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBroker, startBroker } from '../support/broker-process.ts';
import { createHome } from '../support/home.ts';

const SCRIPT = fileURLToPath(new URL('gateway-upstream.ts', import.meta.url));
const CONNECTIONS = 16;
const ROUNDS = 7;
const ROUND_MS = 2_000;
const STREAMS = 1_000;
const FLOOD_MIB = 1_024;
const ECHO = { name: 'echo', arguments: { text: 'x'.repeat(200) } };

const home = await createHome();
const children: { stop(): Promise<unknown> }[] = [];

async function startScript(...args: string[]): Promise<{ port: string; pid: number }> {
  const child = startBroker(args, { env: { PATH: home.env.PATH ?? '' }, script: SCRIPT });
  children.push(child);
  const [, port = ''] = await child.waitFor(/^(\d+)\n/);
  return { port, pid: child.process.pid ?? 0 };
}

interface Target {
  name: string;
  url: string;
  key: string;
  pid: number;
}

try {
  const upstream = await startScript('server');
  const secret = join(home.path, 'credential');
  writeFileSync(secret, 'upstream-credential', { mode: 0o600 });
  const broker = async (...args: string[]) => {
    const { code, stdout, stderr } = await runBroker(args, { env: home.env });
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
  await broker('add', 'bench', '--url', `http://127.0.0.1:${upstream.port}/mcp`, '--bearer-file', secret);
  const { key } = JSON.parse(
    await broker(
      'agent',
      'add',
      'bencher',
      '--allow',
      'bench',
      '--mode',
      'gateway',
      '--concurrency',
      '2000',
      '--json',
    ),
  );
  const daemon = startBroker(['serve', '--listen', '127.0.0.1:0'], { env: home.env });
  children.push(daemon);
  const [, base = ''] = await daemon.waitFor(/listening on (http:\S+)/, 'stderr');
  const proxy = await startScript('proxy', upstream.port, hash('sha256', key, 'base64url'));
  const targets: Target[] = [
    { name: 'bare proxy', url: `http://127.0.0.1:${proxy.port}/mcp`, key, pid: proxy.pid },
    { name: 'gateway', url: `${base}/mcp/bench`, key, pid: daemon.process.pid ?? 0 },
  ];
  await benchCalls(targets);
  await benchLatency(targets);
  if (!process.argv.includes('--quick')) {
    await benchFlood(targets);
    await benchStreams(targets);
  }
} finally {
  for (const child of children.reverse()) await child.stop();
  await home.remove();
}

function call({ url, key }: Target, agent: Agent, params: object): Promise<number> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = {
    Authorization: `Bearer ${key}`,
    Accept: 'application/json, text/event-stream',
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  };
  const sent = request(url, { method: 'POST', agent, headers }, (response) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    response.on('end', () =>
      response.statusCode === 200 ? resolve(bytes) : reject(new Error(`status ${response.statusCode}`)),
    );
    response.on('error', reject);
  });
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

/** Calls a second, with so many connections that always have one call open. */
async function throughput(target: Target): Promise<{ calls: number; rate: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const end = performance.now() + ROUND_MS;
  let calls = 0;
  const one = async () => {
    while (performance.now() < end) {
      await call(target, agent, ECHO);
      calls += 1;
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  agent.destroy();
  return { calls, rate: calls / ((performance.now() - begin) / 1000) };
}

async function benchCalls(targets: Target[]): Promise<void> {
  const rates = new Map<string, number[]>(targets.map(({ name }) => [name, []]));
  const costs = new Map<string, number[]>(targets.map(({ name }) => [name, []]));
  for (const target of targets) await throughput(target);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const target of targets) {
      const before = cpuSeconds(target.pid);
      const { calls, rate } = await throughput(target);
      rates.get(target.name)?.push(rate);
      costs.get(target.name)?.push(((cpuSeconds(target.pid) - before) / calls) * 1e6);
    }
  }
  const [bareCost = 0, cost = 0] = targets.map(({ name }) => median(costs.get(name) ?? []));
  say(
    `processor time of a call: bare proxy ${bareCost.toFixed(0)} us, gateway ${cost.toFixed(0)} us, ratio ${(cost / bareCost).toFixed(2)}`,
  );
  const [bare = 0, gateway = 0] = targets.map(({ name }) => median(rates.get(name) ?? []));
  say(
    `calls a second, ${CONNECTIONS} connections: bare proxy ${bare.toFixed(0)}, gateway ${gateway.toFixed(0)}, ratio ${(gateway / bare).toFixed(2)}`,
  );
}

/** Milliseconds of a call when nothing else goes on. */
async function benchLatency(targets: Target[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = new Map<string, number[]>(targets.map(({ name }) => [name, []]));
  for (let round = 0; round < 1_000; round += 1) {
    for (const target of targets) {
      const begin = performance.now();
      await call(target, agent, ECHO);
      times.get(target.name)?.push(performance.now() - begin);
    }
  }
  agent.destroy();
  const [bare = 0, gateway = 0] = targets.map(({ name }) => median(times.get(name) ?? []));
  say(
    `median latency: bare proxy ${bare.toFixed(2)} ms, gateway ${gateway.toFixed(2)} ms, added ${(gateway - bare).toFixed(2)} ms`,
  );
}

/** The memory of the daemon while it passes on a result that would not fit. */
async function benchFlood(targets: Target[]): Promise<void> {
  const agent = new Agent();
  for (const target of targets) {
    const before = residentMib(target.pid);
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, residentMib(target.pid));
    }, 20);
    const begin = performance.now();
    const bytes = await call(target, agent, { name: 'flood', arguments: { mib: FLOOD_MIB } });
    clearInterval(watch);
    const seconds = (performance.now() - begin) / 1000;
    say(
      `${(bytes / 2 ** 20).toFixed(0)} MiB streamed through ${target.name}: ${seconds.toFixed(1)} s, memory ${before} MiB before, ${most} MiB at most`,
    );
  }
}

/** Streams that stay open. */
async function benchStreams(targets: Target[]): Promise<void> {
  for (const target of targets) {
    const before = residentMib(target.pid);
    const agent = new Agent({ keepAlive: true });
    const open = async () => {
      const sent = request(target.url, {
        agent,
        headers: { Authorization: `Bearer ${target.key}`, Accept: 'text/event-stream' },
      });
      sent.end();
      const [response] = await once(sent, 'response');
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      await once(response, 'data');
      return sent;
    };
    const streams = [];
    for (let at = 0; at < STREAMS; at += 100)
      streams.push(...(await Promise.all(Array.from({ length: 100 }, open))));
    say(
      `${STREAMS} open streams through ${target.name}: memory ${before} MiB before, ${residentMib(target.pid)} MiB with them`,
    );
    for (const stream of streams) stream.destroy();
    agent.destroy();
  }
}

function residentMib(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** Processor time a process has used. Ticks are hundredths of a second on every Linux. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
