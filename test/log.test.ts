import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BrokerResult, runBroker } from './support/broker-process.ts';

const LOG_SCRIPT = fileURLToPath(new URL('./support/log-process.ts', import.meta.url));

/** Runs the script at this level; one parsed object per line on stderr. */
async function run(level: string): Promise<BrokerResult & { lines: Record<string, unknown>[] }> {
  const result = await runBroker([level], { env: {}, script: LOG_SCRIPT });
  const lines = result.stderr.split('\n').filter(Boolean);
  return { ...result, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('the log', () => {
  let info: Awaited<ReturnType<typeof run>>;

  beforeAll(async () => {
    info = await run('info');
  });

  it('is JSON lines on stderr; stdout belongs to results', () => {
    expect(info.code).toBe(0);
    expect(info.stdout).toBe('');
    expect(info.lines[0]).toMatchObject({ level: 'info', msg: 'a secret object', connection: 'coda' });
    expect(info.lines[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it('holds no secret, neither as object nor in a wire field nor in the cause of an error', () => {
    expect(info.lines).toHaveLength(4);
    expect(info.stderr).not.toContain('fake-');
  });

  it('tells how a refresh was answered', () => {
    const answered = info.lines.find(({ msg }) => msg === 'refresh answered');
    expect(answered).toMatchObject({ verdict: 'unknown', code: 'http_502' });
  });

  it('tells the code and the words of an error', () => {
    const { err } = info.lines.find(({ msg }) => msg === 'an error') ?? {};
    // The place in our code would tell nobody anything.
    expect(err).toEqual({ code: 'upstream_unavailable', message: 'cannot be reached' });
  });

  it.each([
    ['silent', 0],
    ['error', 1],
    ['debug', 5],
  ])('at level %s has %i lines', async (level, count) => {
    expect((await run(level)).lines).toHaveLength(count);
  });
});
