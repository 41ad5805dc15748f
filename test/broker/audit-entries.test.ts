import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEntry, AuditQuery } from '../../src/broker/audit-entries.ts';
import type { Broker } from '../../src/broker/index.ts';
import { entryLine } from '../../src/cli/commands/audit-line.ts';
import { type AuditTrail, startAuditTrail } from '../support/audit-trail.ts';

let trail: AuditTrail;
let broker: Broker;

beforeAll(async () => {
  trail = await startAuditTrail();
  broker = await trail.tamper(() => {});
});

afterAll(() => trail.close());

async function list(query: AuditQuery, of = broker): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for await (const entry of (await of.audit.entries(query)).entries) found.push(entry);
  return found;
}

/** So many rows at one instant, one in a hundred about `rare@x`. */
const MANY = `WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 1300)
  INSERT INTO audit SELECT 1000 + n, 'w', 5, 'agent:many', 'call', CASE n % 100 WHEN 0 THEN 'rare@x' ELSE 'demo' END,
  'ok', '{}', 'm' FROM more`;

describe('what happened', () => {
  it('is told oldest first, in full', async () => {
    const all = await list({});
    expect(all.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: trail.rows }, (_, at) => at + 1),
    );
    expect(all[0]).toEqual({
      at: '2026-01-01T00:00:00.000Z',
      sequence: 1,
      writer: expect.stringContaining('/'),
      actor: 'operator',
      action: 'login',
      connection: 'demo',
      outcome: 'ok',
      detail: expect.objectContaining({ generation: expect.any(Number) }),
    });
  });

  it.each([
    [{ action: 'agent.set' }, 3],
    [{ action: 'agent.set', limit: 2 }, 2],
    [{ connection: 'demo', action: 'login' }, 1],
    [{ connection: 'de*', action: 'login' }, 1],
    [{ connection: '*@*' }, 0],
    [{ connection: 'demo@*' }, 0],
    [{ outcome: 'forbidden' }, 0],
    [{ agent: 'bot' }, 0],
    [{ action: 'agent.set', since: Date.parse('2026-01-01T00:02:00Z') }, 2],
    [{ action: 'agent.set', until: Date.parse('2026-01-01T00:02:00Z') }, 1],
  ] as [AuditQuery, number][])('is chosen by %j', async (query, count) => {
    expect(await list(query)).toHaveLength(count);
  });

  it('says whether the limit left something out', async () => {
    const isCut = async (query: AuditQuery) => (await broker.audit.entries(query)).isCut;
    expect(await isCut({ action: 'agent.set', limit: 2 })).toBe(true);
    expect(await isCut({ action: 'agent.set', limit: 3 })).toBe(false);
    expect(await isCut({})).toBe(false);
  });

  it('is read page by page, also where many rows are of one instant and few are wanted', async () => {
    const many = await trail.tamper((database) => database.exec(MANY));
    expect(await list({ agent: 'many' }, many)).toHaveLength(1300);
    const rare = await list({ connection: 'rare@*', limit: 3 }, many);
    expect(rare.map(({ sequence }) => sequence)).toEqual([2100, 2200, 2300]);
    expect(await list({ connection: 'rare@*' }, many)).toHaveLength(13);
    // By time, and not as they were written.
    expect((await list({}, many))[0]).toMatchObject({ sequence: 1001 });
  });

  it.each([{ agent: 'No Agent' }, { connection: 'two words' }, { connection: '@' }])(
    'is refused for %j, which nothing can be',
    async (query) => {
      await expect(list(query)).rejects.toMatchObject({ code: 'usage' });
    },
  );

  it('goes on as others write it, in their order, until somebody has seen enough', async () => {
    const own = await trail.tamper(() => {});
    const { upTo } = await own.audit.entries({ limit: 1 });
    const stop = new AbortController();
    const following = own.audit.follow({ action: 'agent.add' }, upTo, stop.signal);
    for (const name of ['one', 'two']) {
      await own.agents.add({ name, allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
    }
    expect([(await following.next()).value, (await following.next()).value]).toMatchObject([
      { detail: { agent: 'one' } },
      { detail: { agent: 'two' } },
    ]);
    const last = following.next();
    stop.abort();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});

describe('a row somebody else put there', () => {
  const hostile = `UPDATE audit SET at = 9223372036854775807, actor = 'a' || char(27) || '[2J' || char(10) || 'forged',
    connection = 'x' || char(8238), detail = '[not json' WHERE sequence = 2`;

  it('is shown, and neither ends the command nor moves the cursor', async () => {
    const other = await trail.tamper((database) => database.exec(hostile));
    const shown = (await list({}, other)).find(({ sequence }) => sequence === 2) as AuditEntry;
    expect(shown).toMatchObject({ at: '9223372036854775807', detail: { unreadable: '[not json' } });
    expect(entryLine(shown)).toMatch(
      /^9223372036854775807 {2}a \[2J forged +agent\.add +x +ok {2}unreadable='\[not json'$/,
    );
  });

  it('does so with other types in its columns', async () => {
    const sql =
      "UPDATE audit SET at = 'never', actor = x'00ff', detail = x'00', writer = 7.5 WHERE sequence = 2";
    const other = await trail.tamper((database) => database.exec(sql));
    const shown = (await list({}, other)).at(-1) as AuditEntry;
    expect(shown).toMatchObject({ at: 'never', sequence: 2 });
    expect(entryLine(shown)).not.toMatch(/[^\x20-\x7e]/);
  });
});

describe('a line for people', () => {
  it('has the facts as key=value, in quotes where they need them', () => {
    const entry = {
      ...{ at: '2026-11-01T08:30:00.123Z', sequence: 7, writer: 'w', actor: 'agent:crm', action: 'token' },
      ...{ connection: 'notion@alice', outcome: 'ok' },
      detail: { generation: 7, a: 'two words', b: '{"c":1}', d: `'"`, e: null, f: '' },
    };
    expect(entryLine(entry)).toBe(
      `2026-11-01T08:30:00Z  agent:crm         token         notion@alice    ok  generation=7  a='two words'  b='{"c":1}'  d="'\\""  e=null  f=''`,
    );
  });
});
