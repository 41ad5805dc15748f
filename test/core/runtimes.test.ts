import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  entryName,
  fillIn,
  nearRuntimes,
  RUNTIMES,
  type Runtime,
  remarks,
  requireRuntime,
  requireWay,
  type SnippetFacts,
  templateOf,
  type Way,
} from '../../src/core/runtimes.ts';

const DIRECTORY = new URL('../../runtimes/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, DIRECTORY), 'utf8');

const FACTS: SnippetFacts = {
  connection: 'coda@alice',
  daemonUrl: 'http://127.0.0.1:8787',
  serverUrl: 'https://mcp.example.com/mcp?team=7',
};

const snippet = (runtime: Runtime, way: Way, facts = FACTS) =>
  fillIn(read(templateOf(runtime, way)), way, facts, read);

/** Every runtime in each of its ways. */
const SNIPPETS = RUNTIMES.flatMap((runtime) =>
  runtime.ways.map((way) => ({ name: `${runtime.name} ${way}`, runtime, way, text: snippet(runtime, way) })),
);

const ofFormat = (...formats: Runtime['format'][]) =>
  SNIPPETS.filter(({ runtime }) => formats.includes(runtime.format));

/** What the snippets need of TOML: tables and strings. Throws at anything else. */
function parseToml(text: string): Record<string, Record<string, string>> {
  const tables: Record<string, Record<string, string>> = {};
  let table: Record<string, string> | undefined;
  for (const line of text.split('\n')) {
    const [, name] = /^\[([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\]$/.exec(line) ?? [];
    const [, key, value] = /^([A-Za-z0-9_-]+) = (".*")$/.exec(line) ?? [];
    if (name !== undefined) {
      table = {};
      tables[name] = table;
    } else if (table && key !== undefined) {
      table[key] = JSON.parse(value as string) as string;
    } else throw new SyntaxError(`no TOML: ${line}`);
  }
  return tables;
}

/** Throws what the interpreter says about the first file that is no Python. */
function compilePython(texts: string[]): void {
  const directory = mkdtempSync(join(tmpdir(), 'runtimes-'));
  try {
    const files = texts.map((text, index) => {
      const file = join(directory, `snippet_${index}.py`);
      writeFileSync(file, text);
      return file;
    });
    execFileSync('python3', ['-m', 'py_compile', ...files], { stdio: 'pipe' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const checkShell = (text: string) => execFileSync('sh', ['-n'], { input: text, stdio: 'pipe' });

describe('the list of runtimes', () => {
  it('has names in order, each once, that can be typed', () => {
    const names = RUNTIMES.map(({ name }) => name);
    expect(names.length).toBeGreaterThanOrEqual(20);
    expect(names).toEqual([...new Set(names)].sort());
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  });

  it('has a template for every way, and no template for nothing', () => {
    const needed = RUNTIMES.flatMap((runtime) => runtime.ways.map((way) => templateOf(runtime, way)));
    const shared = ['broker_auth.py'];
    expect(readdirSync(DIRECTORY).sort()).toEqual([...new Set([...needed, ...shared])].sort());
  });

  it.each(RUNTIMES)('$name speaks in sentences without a full stop and names its sources', (runtime) => {
    for (const way of runtime.ways) {
      for (const text of remarks(runtime, way, FACTS)) expect(text).toMatch(/^\S.*[^.\s]$/);
    }
    expect(runtime.sources.length).toBeGreaterThan(0);
    for (const source of runtime.sources) expect(source).toMatch(/^(https:\/\/\S+|[\w.-]+\/[\w.-]+#\d+)$/);
  });

  it('has no way by the environment where nobody reads it', () => {
    for (const { runtime, way, text } of SNIPPETS)
      if (way === 'exec') expect(text, runtime.name).toContain('MCP_ACCESS_TOKEN');
  });
});

describe('a snippet', () => {
  it.each(ofFormat('json'))('$name is JSON', ({ text }) => {
    expect(JSON.stringify(JSON.parse(text))).toContain('"coda-alice":{');
  });

  it.each(ofFormat('toml'))('$name is TOML', ({ text, way }) => {
    const [[name, table] = []] = Object.entries(parseToml(text));
    expect(name).toBe('mcp_servers.coda-alice');
    expect(table).toEqual({
      url: way === 'gateway' ? 'http://127.0.0.1:8787/mcp/coda%40alice' : FACTS.serverUrl,
      bearer_token_env_var: way === 'gateway' ? 'BROKER_AGENT_KEY' : 'MCP_ACCESS_TOKEN',
    });
  });

  it.each(ofFormat('ts', 'mjs'))('$name is TypeScript', ({ text }) => {
    expect(stripTypeScriptTypes(text)).toContain('await ');
  });

  it('in Python compiles', () => {
    const texts = ofFormat('py').map(({ text }) => text);
    expect(texts.length).toBeGreaterThan(10);
    compilePython(texts);
  });

  it.each(ofFormat('sh'))('$name is shell', ({ text }) => {
    checkShell(text);
  });

  it('would be found to be wrong by each of these checks', () => {
    expect(() => parseToml('[a]\nb = c')).toThrow();
    expect(() => stripTypeScriptTypes('const a: = await 1')).toThrow();
    expect(() => compilePython(['ok = 1\n', 'def broken(:\n'])).toThrow();
    expect(() => checkShell("echo 'a")).toThrow();
  });

  it.each(SNIPPETS)('$name is filled in whole, and goes where its way leads', ({ text, way, runtime }) => {
    expect(text).not.toMatch(/\{\{|include /);
    const gateway = 'http://127.0.0.1:8787/mcp/coda%40alice';
    expect(text.includes(gateway)).toBe(way === 'gateway');
    expect(text.includes(FACTS.serverUrl as string)).toBe(way !== 'gateway');
    // Where no variable is named, the key is asked for, the client library reads it, or `broker` itself is run.
    const variable = way === 'exec' ? 'MCP_ACCESS_TOKEN' : 'BROKER_AGENT_KEY';
    const byHand = ['n8n', 'vscode', 'shell', 'managed-agents'].includes(runtime.name);
    const byOther = text.includes('headersHelper') || text.includes('mcp-token-broker/client');
    expect(text.includes(variable)).toBe(!byHand && !byOther);
  });

  it('cannot be broken out of by a URL', () => {
    const serverUrl = `https://mcp.example.com/a'b"c\\d\`e?x='"\\\`\${y}`;
    const literal = 'https://mcp.example.com/a%27b%22c/d%60e?x=%27%22%5C%60%24{y}';
    for (const runtime of RUNTIMES) {
      if (runtime.ways[0] === 'token')
        expect(snippet(runtime, 'token', { ...FACTS, serverUrl })).toContain(literal);
    }
  });

  it('needs the URL of the server only where it stands in it', () => {
    const facts = { ...FACTS, serverUrl: undefined };
    expect(snippet(requireRuntime('codex'), 'gateway', facts)).toContain('/mcp/coda');
    expect(() => snippet(requireRuntime('codex'), 'exec', facts)).toThrow(
      /not known which server coda@alice/,
    );
  });

  it.each(['no url', 'ftp://mcp.example.com/', 'https://user:pw@mcp.example.com/mcp'])(
    'refuses %s as the URL of a server',
    (serverUrl) => {
      const attempt = () => snippet(requireRuntime('claude-code'), 'token', { ...FACTS, serverUrl });
      expect(attempt).toThrow(/--server-url is no http/);
    },
  );

  it('reaches a daemon on a Unix socket by broker token and the client library, not by http', () => {
    const facts = { ...FACTS, daemonUrl: 'unix:/run/broker.sock' };
    expect(snippet(requireRuntime('claude-code'), 'token', facts)).toContain('broker token');
    expect(snippet(requireRuntime('mcp-typescript'), 'token', facts)).toContain(`url: '${facts.daemonUrl}'`);
    const odd = { ...FACTS, daemonUrl: "unix:/run/bro'ker.sock" };
    expect(() => snippet(requireRuntime('mcp-typescript'), 'token', odd)).toThrow(/between quotes/);
    for (const [name, way] of [
      ['codex', 'gateway'],
      ['langchain', 'token'],
    ] as const)
      expect(() => snippet(requireRuntime(name), way, facts)).toThrow(/over http, not over a Unix socket/);
  });
});

describe('choosing', () => {
  it('finds a runtime by its name, and what was probably meant', () => {
    expect(requireRuntime('codex').title).toBe('Codex');
    expect(nearRuntimes('codx')).toEqual(['codex']);
    expect(nearRuntimes('Claude Code')).toEqual(['claude-code']);
    expect(nearRuntimes('claude')).toEqual(['claude-agent-sdk', 'claude-code', 'managed-agents']);
    expect(nearRuntimes('vs-code')).toEqual(['vscode']);
    expect(nearRuntimes('--')).toEqual([]);
    expect(() => requireRuntime('emacs')).toThrow('there is no runtime "emacs" in the list');
  });

  it('takes the first way unless another is wanted, and refuses what there is not', () => {
    expect(requireWay(requireRuntime('claude-code'), undefined)).toBe('token');
    expect(requireWay(requireRuntime('claude-code'), 'gateway')).toBe('gateway');
    expect(requireWay(requireRuntime('codex'), undefined)).toBe('gateway');
    expect(() => requireWay(requireRuntime('vscode'), 'exec')).toThrow(
      'VS Code cannot be configured with --exec',
    );
  });

  it('makes a name that every runtime takes', () => {
    expect(entryName('coda')).toBe('coda');
    expect(entryName('coda.eu_2@alice+x')).toBe('coda-eu_2-alice-x');
  });
});

describe('docs/runtimes.md', () => {
  it('is the list as a table', () => {
    const text = readFileSync(new URL('../../docs/runtimes.md', import.meta.url), 'utf8');
    expect(text.split('\n').filter((line) => /^\| `[a-z]/.test(line))).toEqual(RUNTIMES.map(row));
  });
});

function row({ name, title, ways, place, notes, wayNotes = {}, sources }: Runtime): string {
  const all = Object.entries(wayNotes).flatMap(([way, texts]) => texts.map((text) => `${way}: ${text}`));
  const cells = [`\`${name}\``, title, ways.join(', '), place, [...all, ...notes].join('<br>')];
  return `| ${cells.join(' | ')} | ${sources.map(link).join('<br>')} |`;
}

function link(source: string): string {
  const [, repository, number] = /^([^#:]+)#(\d+)$/.exec(source) ?? [];
  if (repository === undefined) return `<${source}>`;
  return `[${source}](https://github.com/${repository}/issues/${number})`;
}
