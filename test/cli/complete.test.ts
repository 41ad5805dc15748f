import { describe, expect, it } from 'vitest';
import { complete } from '../../src/cli/complete.ts';
import { buildProgram } from '../../src/cli/main.ts';

const NAMES: Record<string, string[]> = {
  connection: ['coda', 'notion@alice'],
  agent: ['crm'],
  preset: ['notion'],
};

/** The words offered for a line; the part after the last space is being typed. Paths as `:files`, `:directories`. */
async function offered(line: string): Promise<string[]> {
  const { candidates, paths } = await complete(buildProgram(), line.split(' '), async (placeholder) =>
    (NAMES[placeholder] ?? []).map((word) => ({ word, meaning: '' })),
  );
  return [...candidates.map(({ word }) => word), ...(paths ? [`:${paths}`] : [])];
}

describe('what could come next', () => {
  it('is a command at first', async () => {
    expect(await offered('lo')).toEqual(['login', 'logout']);
    expect(await offered('')).toEqual(expect.arrayContaining(['login', 'serve', 'completion']));
    expect(await offered('')).not.toContain('complete');
  });

  it('is a command below a command', async () => {
    expect(await offered('agent ro')).toEqual(['rotate']);
  });

  it.each([
    ['show ', ['coda', 'notion@alice']],
    ['token notion@', ['notion@alice']],
    ['check coda n', ['notion@alice']],
    ['agent rotate ', ['crm']],
    ['login ', ['coda', 'notion@alice', 'notion']],
    ['config x --connection c', ['coda']],
    ['show coda ', []],
  ])('of %j is a name', async (line, words) => {
    expect(await offered(line)).toEqual(words);
  });

  it('is an option, of the command and those all commands share', async () => {
    expect(await offered('serve --li')).toEqual(['--listen']);
    expect(await offered('show --h')).toEqual(['--home', '--help']);
  });

  it('is the value of an option, beside it or joined to it', async () => {
    expect(await offered('--log-level w')).toEqual(['warn']);
    expect(await offered('list --log-level=w')).toEqual(['--log-level=warn']);
    expect(await offered('login --client-secret-file ')).toEqual([':files']);
    expect(await offered('--home ')).toEqual([':directories']);
  });

  it('is not thrown off by options and their values in between', async () => {
    expect(await offered('--home show agent --no-color ro')).toEqual(['rotate']);
    expect(await offered('--home=show show c')).toEqual(['coda']);
    expect(await offered('token --min-ttl 60 c')).toEqual(['coda']);
  });

  it('is no word of ours behind --', async () => {
    expect(await offered('exec coda -- lo')).toEqual([':files']);
  });

  it('is nothing where a word of one’s own belongs', async () => {
    expect(await offered('agent add ')).toEqual([]);
    expect(await offered('login --client-id ')).toEqual([]);
  });
});
