/** What is looked at in a week: what people were told, what agents were refused, what was counted and written down. */
import { readFileSync } from 'node:fs';
import { beforeEach, expect, onTestFailed } from 'vitest';
import { samplesOf } from './metrics-text.ts';
import { secretsSeenBy } from './secrets-seen.ts';
import { rowsOf } from './vault-file.ts';
import type { Day, Moment, Week } from './week.ts';
import type { Asked } from './week-agents.ts';

/** A check when all is well: cron mails nothing. */
export const SILENT = { code: 0, stdout: '', stderr: '' };

/** Of a story, nothing more is told after the first chapter that fails. */
export function endAtFailure(): void {
  let hasFailed = false;
  beforeEach(({ skip }) => {
    skip(hasFailed, 'an earlier day has failed');
    onTestFailed(() => {
      hasFailed = true;
    });
  });
}

/** So many that have these facts. */
export const times = (count: number, facts: object) => Array(count).fill(expect.objectContaining(facts));

/** Words about each connection. */
export const both = (words: (name: string) => RegExp) =>
  ['coda', 'notion'].map((name) => expect.stringMatching(words(name)));

export interface WeekJudge {
  /** The words people were told on this day, in order. */
  toldOn(day: Day): string[];
  /** What the agents wanted since then and did not get. */
  refused(since: Moment, connection?: string): Asked[];
  /** How many refreshes of this connection, of all without one, the trail tells of that worked. */
  refreshesBy(actor: string, connection?: string): number;
  /** Fails unless `/metrics` of the daemon, which has run since Monday, tells what was done. */
  expectCounted(): Promise<void>;
  /** The audit trail as it is now. */
  trail(): string;
  /** Fails if any of these texts has a secret of a vendor, of an agent or of the operator. */
  expectNoSecret(texts: Record<string, string>, masterKeyFiles: string[]): void;
}

export function judgeOf(week: Week): WeekJudge {
  function refreshesBy(actor: string, connection?: string): number {
    const rows = rowsOf<{ connection: string }>(
      week.vaultPath,
      "SELECT connection FROM audit WHERE action = 'refresh' AND outcome = 'ok' AND actor = ?",
      actor,
    );
    return rows.filter((row) => (connection ?? row.connection) === row.connection).length;
  }

  return {
    refreshesBy,
    toldOn(day) {
      const from = week.at(`${day} 00:00`);
      const isThen = (timestamp: string) => Math.floor((Date.parse(timestamp) - from) / 86_400_000) === 0;
      return week.receiver.received.filter(({ json }) => isThen(json.timestamp)).map(({ json }) => json.text);
    },
    refused: (since, connection) =>
      week.agents.asked(week.at(since), connection).filter(({ isDone }) => !isDone),
    async expectCounted() {
      const samples = samplesOf((await week.get('/metrics')).text);
      for (const { name, refreshes, turnedAway } of [week.coda, week.notion]) {
        const count = (metric: string, labels: string) =>
          samples.get(`mcp_token_broker_${metric}{connection="${name}",${labels}}`) ?? 0;
        const done = week.agents.asked(0, name).filter(({ isDone }) => isDone);
        const by = (agent: string) => done.filter((each) => each.agent === agent).length;
        expect(count('tokens_issued_total', 'door="token"')).toBe(by('docs-bot'));
        // A session begins with two messages.
        expect(count('tokens_issued_total', 'door="gateway"')).toBe(by('helper') + 2);
        // What a command refreshes, the daemon does not count.
        expect(count('refreshes_total', 'outcome="success",code=""')).toBe(
          refreshes() - refreshesBy('operator', name),
        );
        expect(count('refreshes_total', 'outcome="not_processed",code="http_503"')).toBe(turnedAway());
      }
    },
    trail: () => JSON.stringify(rowsOf(week.vaultPath, 'SELECT * FROM audit')),
    expectNoSecret(texts, masterKeyFiles) {
      const secrets = new Map([
        ...secretsSeenBy(week.coda.authorizationServer),
        ...secretsSeenBy(week.notion.authorizationServer),
        ...week.secrets,
        ...masterKeyFiles.map((file): [string, string] => [readFileSync(file, 'utf8').trim(), file]),
      ]);
      expect(secrets.size).toBeGreaterThan(200);
      for (const [place, text] of Object.entries(texts)) {
        expect(text.length).toBeGreaterThan(1_000);
        for (const [secret, what] of secrets)
          expect(text.includes(secret), `${what} is in ${place}`).toBe(false);
      }
    },
  };
}
