/**
 * A week of a broker: what happens by itself, what its operator is told, and what the operator does. Each day goes on
 * where the one before ended.
 *
 * The broker and what it stores is real, and so are both vendors, the agents' calls, the signed notices and cron's
 * `broker check`. Only the clock is moved by hand.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { isSigned } from '../support/notice-world.ts';
import { MINUTE_MS, startWeek, type Week } from '../support/week.ts';
import { both, endAtFailure, judgeOf, SILENT, times, type WeekJudge } from '../support/week-judge.ts';

let week: Week;
let judge: WeekJudge;
let files: Week['files'];
let generationAtBackup: number;
let lostTrail: string;

beforeAll(async () => {
  week = await startWeek();
  judge = judgeOf(week);
  files = week.files;
});

afterAll(() => week.close());
endAtFailure();

describe('a week of a broker', () => {
  it('Monday: the agents work, and neither they nor anybody else hears of tokens', async () => {
    await week.until('Monday 21:00');
    expect(week.agents.asked(week.at('Monday 00:00'))).toHaveLength(11 * 2 * 2);
    expect(judge.refused('Monday 00:00')).toEqual([]);
    // A token lives for an hour, and none of them had to be waited for.
    expect(week.coda.refreshes()).toBeGreaterThanOrEqual(12);
    expect(judge.refreshesBy('scheduler')).toBe(week.coda.refreshes() + week.notion.refreshes());
    expect(await week.check()).toEqual(SILENT);
    expect(judge.toldOn('Monday')).toEqual([]);
  });

  it('Tuesday: a vendor is down for ten minutes, of which nobody need know, and then for two hours', async () => {
    // A token from half past eight is to be renewed at about twenty past nine, and ends at half past.
    await week.until('Tuesday 08:30');
    await week.operator.run((broker) => broker.refresh(OPERATOR, 'coda'));
    await week.until('Tuesday 09:15');
    week.coda.setDown(true);
    await week.until('Tuesday 09:25', MINUTE_MS);
    expect(week.row('coda').state).toBe('degraded');
    await week.agents.ask();
    week.coda.setDown(false);
    await week.until('Tuesday 09:50', MINUTE_MS);
    expect(week.row('coda').state).toBe('ok');

    await week.until('Tuesday 11:30');
    await week.operator.run((broker) => broker.refresh(OPERATOR, 'coda'));
    await week.until('Tuesday 12:15');
    expect(judge.toldOn('Tuesday')).toEqual([]);
    week.coda.setDown(true);
    await week.until('Tuesday 12:27', MINUTE_MS);
    // The token at hand is good for three more minutes, and so is what agents get.
    await week.agents.ask();
    expect(judge.refused('Tuesday 00:00')).toEqual([]);
    expect(await week.check()).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^soon {2}coda: degraded: .*; the present token still works → .*\n$/),
    });

    // The first refresh failed between 12:18 and 12:21, and a quarter of an hour is waited before anybody is told.
    await week.until('Tuesday 12:33', MINUTE_MS);
    expect(judge.toldOn('Tuesday')).toEqual([]);
    await week.until('Tuesday 12:40', MINUTE_MS);
    const down = expect.stringMatching(/^coda is down: refreshing fails \(http_503\), and no token is valid/);
    expect(judge.toldOn('Tuesday')).toEqual([down]);
    await week.until('Tuesday 14:15');
    expect(await week.check()).toMatchObject({ code: 75, stdout: expect.stringMatching(/^down {2}coda: /) });
    await week.agents.ask();
    const noToken = { connection: 'coda', status: 503, code: 'upstream_unavailable' };
    expect(judge.refused('Tuesday 00:00')).toEqual(times(3 * 2, noToken));

    // Planned attempts have become rare by now, but whoever has no token is let try: the next who asks gets one.
    week.coda.setDown(false);
    await week.until('Tuesday 21:00');
    expect(judge.refused('Tuesday 14:20')).toEqual([]);
    const recovered = expect.stringMatching(/^coda works again \(was down for \d+ (min|h)\)$/);
    expect(judge.toldOn('Tuesday')).toEqual([down, recovered]);
    expect(await week.check()).toEqual(SILENT);
  });

  it('Wednesday: a backup while all goes on; the trail is intact, and the metrics tell what was done', async () => {
    await week.until('Wednesday 12:00');
    const made = await week.operator.backup(files.backup);
    expect(made).toMatchObject({ connections: 2, agents: 5, master_key: { source: files.masterKey } });
    generationAtBackup = week.row('coda').generation;
    await week.until('Wednesday 21:00');
    expect(await week.operator.run((broker) => broker.audit.verify())).toMatchObject({ intact: true });
    await judge.expectCounted();
    expect(week.coda.turnedAway()).toBeGreaterThan(5);
    expect(await week.check()).toEqual(SILENT);
  });

  it('Thursday: a vendor ends a login; somebody is told once, and agents learn what is to be done', async () => {
    await week.until('Thursday 10:00');
    await week.operator.run((broker) => broker.refresh(OPERATOR, 'notion'));
    await week.until('Thursday 10:30');
    await week.notion.revoke();
    // Who says that its token is refused gets another, or hears why not. Once refused is not yet believed.
    await week.agents.ask();
    const noToken = { connection: 'notion', status: 503, code: 'upstream_unavailable' };
    expect(judge.refused('Thursday 10:30')).toEqual(times(2, noToken));
    expect(week.row('notion').state).toBe('degraded');
    expect(judge.toldOn('Thursday')).toEqual([]);
    // A minute later it is.
    await week.until('Thursday 10:32', MINUTE_MS);
    expect(week.row('notion').state).toBe('login_required');
    expect(await week.check()).toEqual({
      code: 2,
      stdout: 'act   notion: login_required: the server ended the login → broker login notion\n',
      stderr: '',
    });

    await week.until('Thursday 21:00');
    expect(judge.toldOn('Thursday')).toEqual([
      'notion needs you: the server ended the login (invalid_grant). Sign in again: broker login notion',
    ]);
    const told = { status: 409, code: 'login_required', nextStep: 'broker login notion' };
    expect(judge.refused('Thursday 11:00')).toEqual(times(8 * 2, { connection: 'notion', ...told }));
  });

  it('Friday: it is told again after a day, and somebody signs in; the agents go on as they are', async () => {
    await week.until('Friday 14:00');
    const reminder = expect.stringMatching(/^reminder: notion needs you: .* broker login notion$/);
    expect(judge.toldOn('Friday')).toEqual([reminder]);
    await week.operator.login(week.notion);
    await week.until('Friday 21:00');
    expect(judge.refused('Friday 14:30')).toEqual([]);
    expect(week.agents.sessions()).toBe(2);
    const recovered = expect.stringMatching(/^notion works again \(was down for 2[78] h\)$/);
    expect(judge.toldOn('Friday')).toEqual([reminder, recovered]);
    expect(await week.check()).toEqual(SILENT);
    // Somebody leaves.
    await week.operator.run((broker) => broker.agents.revoke('intern'));
  });

  it('Saturday: both keys are changed while the agents work; the old master key opens nothing any more', async () => {
    await week.until('Saturday 10:00');
    const { resealed } = await week.operator.run((broker) => broker.keys.rotate({ data: true }));
    expect(resealed).toBeGreaterThan(2);

    await week.until('Saturday 12:00');
    const old = await week.operator.changeMasterKey(files.newMasterKey);
    await week.until('Saturday 14:00');
    const retireOld = (withKey: string) => week.operator.run(({ keys }) => keys.retire(old), withKey);
    await expect(retireOld(files.newMasterKey)).rejects.toThrow(
      /still needed: the broker process \d+ uses it$/,
    );
    // The new one takes its place, and the old one is kept for the backups it made.
    renameSync(files.masterKey, files.oldMasterKey);
    renameSync(files.newMasterKey, files.masterKey);
    await week.stopDaemon();
    await week.startDaemon();
    await retireOld(files.masterKey);

    await week.until('Saturday 21:00');
    const open = week.operator.run((broker) => broker.list(OPERATOR), files.oldMasterKey);
    await expect(open).rejects.toMatchObject({ code: 'key_wrong' });
    expect(judge.refused('Saturday 00:00')).toEqual([]);
    expect(await week.check()).toEqual(SILENT);
  });

  it('Sunday: the disk dies; Wednesday is restored, and what was used up since is signed in again', async () => {
    await week.until('Sunday 10:00');
    // Each refresh a vendor granted is a generation here, and so is each login: none was lost.
    expect(week.row('coda').generation).toBe(1 + week.coda.refreshes());
    expect(week.row('notion').generation).toBe(2 + week.notion.refreshes());
    await week.stopDaemon();
    lostTrail = judge.trail();
    for (const end of ['', '-wal', '-shm']) rmSync(`${week.vaultPath}${end}`, { force: true });

    // The backup is older than the master key: it opens with the one that was kept for it, and with no other.
    await expect(week.operator.restore(files.backup, files.masterKey)).rejects.toMatchObject({
      code: 'key_wrong',
    });
    expect(existsSync(week.vaultPath)).toBe(false);
    const restored = await week.operator.restore(files.backup, files.oldMasterKey);
    expect(restored).toMatchObject({ connections: 2, agents: 5, uncertain: ['coda', 'notion'] });
    const doubtful = { state: 'uncertain', code: 'restored', generation: generationAtBackup };
    expect(week.row('coda')).toMatchObject(doubtful);
    // And from now on with the present one again.
    const old = await week.operator.changeMasterKey(files.masterKey, files.oldMasterKey);
    await week.operator.run(({ keys }) => keys.retire(old));
    // Who was revoked since the backup is back.
    await week.operator.run((broker) => broker.agents.revoke('intern'));
    await week.startDaemon();

    // What was restored is used up, and that is believed at once.
    await week.until('Sunday 10:02', MINUTE_MS);
    const usedUp =
      'login_required: the server ended the login: it came from a restored backup, and its refresh token was used up since';
    expect(await week.check()).toEqual({
      code: 2,
      stdout: `act   coda: ${usedUp} → broker login coda\nact   notion: ${usedUp} → broker login notion\n`,
      stderr: '',
    });
    const ended = judge.toldOn('Sunday').sort();
    expect(ended).toEqual(both((name) => new RegExp(`^${name} needs you: .* broker login ${name}$`)));
    const lost = week.coda.refreshes() - generationAtBackup;
    await week.operator.login(week.coda);
    await week.operator.login(week.notion);

    await week.until('Sunday 21:00');
    const mended = judge.toldOn('Sunday').slice(2).sort();
    expect(mended).toEqual(both((name) => new RegExp(`^${name} works again \\(was down for`)));
    expect(week.row('coda').generation).toBe(1 + week.coda.refreshes() - lost);
    // Agents have their keys of Wednesday. Sessions are in no backup: an MCP client that hears so begins another.
    expect(week.agents.asked(week.at('Sunday 00:00'))).toHaveLength(11 * 2 * 2);
    expect(judge.refused('Sunday 00:00')).toEqual([]);
    expect(week.agents.sessions()).toBe(2 + 2);
    expect(await week.operator.run((broker) => broker.audit.verify())).toMatchObject({ intact: true });
    expect(await week.get('/readyz')).toMatchObject({ status: 200, text: 'ready\n' });
    expect(await week.check()).toEqual(SILENT);
  });
});

describe('over the whole week', () => {
  it('people were told nine times, each once and signed', () => {
    const { received } = week.receiver;
    expect(received).toHaveLength(9);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(9);
    expect(received.filter(isSigned)).toHaveLength(9);
    expect(received.map(({ json }) => json.data.kind)).toEqual([
      ...['transition', 'recovery', 'transition', 'reminder', 'recovery'],
      ...['transition', 'transition', 'recovery', 'recovery'],
    ]);
  });

  it('cron checked every hour, and saw what people were told of', () => {
    const codes = week.checks();
    expect(codes).toHaveLength(6 * 24 + 14);
    expect(codes.filter((code, index) => code !== codes[index - 1])).toEqual([0, 75, 0, 2, 0]);
  });

  it('no vendor refused a token, but for the two by which the agents found out on Thursday', () => {
    expect([week.coda.refusedCalls(), week.notion.refusedCalls()]).toEqual([0, 2]);
  });

  it('no secret is in the log, in the trail or in a notice', () => {
    const notices = JSON.stringify(week.receiver.received);
    const texts = { notices, log: week.log.text(), trail: judge.trail(), lostTrail };
    judge.expectNoSecret(texts, [files.masterKey, files.oldMasterKey]);
  });
});
