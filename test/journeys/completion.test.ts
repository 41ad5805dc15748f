/** The completion scripts in the shells they are written for, with the built bin behind them. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';

const BIN = fileURLToPath(new URL('../../bin/broker.js', import.meta.url));

let home: Home;
let env: Record<string, string>;

beforeAll(async () => {
  home = await createHome();
  await symlink(BIN, `${home.path}/broker`);
  await chmod(BIN, 0o755);
  env = { ...home.env, PATH: `${home.path}:${home.env.PATH}`, TERM: 'xterm' };
  for (const name of ['wiki', 'wiki-internal@alice']) {
    const url = `https://${name.replace('@', '-')}.example.com/mcp`;
    await runBroker(['add', name, '--url', url, '--none'], { env });
  }
  await writeFile(`${home.path}/secret one.txt`, '');
});

afterAll(() => home.remove());

const hasShell = (shell: string) => spawnSync(shell, ['-c', 'exit']).status === 0;

async function run(shell: string, script: string, ...options: string[]): Promise<string> {
  const file = `${home.path}/script.${shell}`;
  await writeFile(file, script);
  const { stdout } = await promisify(execFile)(shell, [...options, file], {
    env,
    cwd: home.path,
    timeout: 20_000,
  });
  return stdout;
}

describe.skipIf(!hasShell('bash'))('bash (skipped where there is none)', () => {
  test('completes words in which it sees several', async () => {
    const output = await run(
      'bash',
      `source <(broker completion bash)
       compopt() { :; }
       try() { COMP_LINE="$1" COMP_POINT=\${#1}; COMP_WORDS=("\${@:2}"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
         _broker; printf '%s: %s\\n' "$1" "\${COMPREPLY[*]}"; }
       try 'broker agent ro' broker agent ro
       try 'broker --log-level=wa' broker --log-level = wa
       try 'broker show wiki-internal@' broker show wiki-internal @
       try 'broker show wiki-internal@al' broker show wiki-internal @ al
       try 'broker login --client-secret-file sec' broker login --client-secret-file sec`,
    );
    expect(output.split('\n')).toEqual([
      'broker agent ro: rotate',
      'broker --log-level=wa: warn',
      'broker show wiki-internal@: alice',
      'broker show wiki-internal@al: alice',
      'broker login --client-secret-file sec: secret one.txt',
      '',
    ]);
  });
});

describe.skipIf(!hasShell('fish'))('fish (skipped where there is none)', () => {
  test('completes commands, names, values and files', async () => {
    const output = await run(
      'fish',
      `broker completion fish | source
       for line in 'broker agent ro' 'broker show wiki-' 'broker --log-level=w' 'broker login --client-secret-file sec'
         complete -C $line | string replace --regex '\\t.*' ''
       end
       true`,
    );
    expect(output.trim().split('\n')).toEqual([
      'rotate',
      'wiki-internal@alice',
      '--log-level=warn',
      'secret one.txt',
    ]);
  });
});

describe.skipIf(!hasShell('zsh'))('zsh (skipped where there is none)', () => {
  test('completes at a Tab', async () => {
    // What is typed is put on the screen by zsh itself, completed: it runs behind a terminal of its own.
    const output = await run(
      'zsh',
      `zmodload zsh/zpty
       zpty terminal zsh -f -i
       zpty -w terminal 'autoload -Uz compinit; compinit -u -D; source <(broker completion zsh); print LOA""DED'
       zpty -r terminal line '*LOADED*'
       for typed in 'broker agent ro' 'broker show wiki-i'; do
         zpty -w -n terminal "$typed"$'\\t'
         zpty -r terminal line '*(rotate|@alice)*'
         print -r -- "$line"
         zpty -w terminal $'\\x03'
       done
       zpty -d terminal`,
      '-f',
    );
    expect(output).toContain('rotate');
    expect(output).toMatch(/wiki-i\S*nternal@alice/);
  });
});

test('without a vault nothing is said, and no vault is made', async () => {
  const other = await createHome();
  try {
    const asked = await runBroker(['complete', '--', 'show', ''], { env: other.env });
    expect(asked).toEqual({ code: 0, stdout: '', stderr: '' });
    const listed = await runBroker(['list'], { env: other.env });
    expect(listed.stderr).toContain('there is no vault');
  } finally {
    await other.remove();
  }
});
