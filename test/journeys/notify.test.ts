import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { openBroker } from '../../src/broker/index.ts';
import { readSettings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { isRefresh } from '../support/gate.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { type NoticeReceiver, startNoticeReceiver } from '../support/notice-receiver.ts';
import { FAKE_WEBHOOK_SECRET, isSigned } from '../support/notice-world.ts';
import { rowsOf } from '../support/vault-file.ts';

let journey: Journey;
let receiver: NoticeReceiver;
let secretFile: string;

const DOCS = new URL('../../docs/operating.md', import.meta.url);
const inHome = (name: string) => join(journey.home.path, name);

/** Signs in, then a refresh that only a person can mend. */
async function breakLogin(): Promise<void> {
  await journey.login();
  const body = { error: 'invalid_client' };
  journey.authorizationServer.fail((request) => (isRefresh(request) ? { status: 401, body } : undefined));
  expect(await journey.here((broker) => broker.refresh(OPERATOR, 'demo'))).toBe(2);
}

beforeEach(async () => {
  journey = await startJourney();
  receiver = await startNoticeReceiver();
  secretFile = inHome('webhook.secret');
  await writeFile(secretFile, `${FAKE_WEBHOOK_SECRET}\n`);
});

afterEach(async () => {
  await journey.close();
  await receiver.close();
});

describe('daemon and cron with the same settings', () => {
  it('tell once between them, and a check that tells nothing new says what it always says', async () => {
    await breakLogin();
    const env = { BROKER_NOTIFY_WEBHOOK: receiver.url, BROKER_NOTIFY_SECRET_FILE: secretFile };
    const daemon = journey.start(['serve', '--listen', '127.0.0.1:0'], env);
    const checks = await Promise.all([journey.run(['check'], { env }), journey.run(['check'], { env })]);
    const notice = await receiver.next();
    await daemon.waitFor(/listening on/, 'stderr');
    const plain = await journey.run(['check']);
    expect(plain).toMatchObject({ code: 2, stdout: expect.stringContaining('broker login demo') });
    for (const check of checks) expect(check).toEqual(plain);
    expect(await daemon.stop()).toBe(0);
    expect(receiver.received).toHaveLength(1);
    expect(isSigned(notice)).toBe(true);
    expect(notice.json.type).toBe('connection.client_invalid');
    const shown = await journey.run(['notify', 'list']);
    expect(shown.stdout).toMatch(
      /^TOLD +KIND +DELIVERED +NOTICE\n\d s ago +transition +webhook +demo needs you: .+ Sign in again: broker login demo\n$/,
    );
    for (const { process } of journey.processes)
      expect(process.stdout() + process.stderr()).not.toContain(FAKE_WEBHOOK_SECRET.slice(6));
  });
});

describe('a check that is killed while it tells', () => {
  it('is taken over after a minute, so that somebody is told at least once', async () => {
    await breakLogin();
    const { code } = await journey.run(['check', '--notify-command', 'kill -9 $PPID']);
    expect(code).not.toBe(2);
    expect(rowsOf(journey.vaultPath, 'SELECT attempts, outcome FROM notice_deliveries')).toEqual([
      { attempts: 1, outcome: null },
    ]);
    const clock = createManualClock(Date.now());
    const settings = readSettings({ home: journey.home.env.BROKER_HOME as string }, { ...journey.home.env });
    const broker = await openBroker({ settings, clock, log: createLog('silent'), create: false });
    const command = `echo "$BROKER_NOTICE_MESSAGE" >> '${inHome('told')}'`;
    const notify = { command, webhook: undefined, afterMs: 0 };
    await broker.notices.tellNow(notify);
    expect(existsSync(inHome('told'))).toBe(false);
    clock.jump(60_001);
    await broker.notices.tellNow(notify);
    await broker.notices.tellNow(notify);
    await broker.close();
    expect(await readFile(inHome('told'), 'utf8')).toMatch(/^demo needs you: .+\n$/);
  });
});

describe('broker notify test', () => {
  const test = (args: string[], env: Record<string, string> = {}) =>
    journey.run(['notify', 'test', ...args], { env });

  it('sends what the recipes of docs/operating.md say, and needs no vault', async () => {
    const docs = await readFile(DOCS, 'utf8');
    const [, recipe = ''] = /--notify-command '(printf [^']+)'/.exec(docs) ?? [];
    await mkdir(inHome('bin'));
    await writeFile(inHome('bin/sendmail'), `#!/bin/sh\n{ echo "$@"; cat; } > '${inHome('mail')}'\n`);
    await chmod(inHome('bin/sendmail'), 0o755);
    const PATH = `${inHome('bin')}:${process.env.PATH}`;
    const args = [
      '--notify-command',
      recipe,
      '--notify-webhook',
      receiver.url,
      '--notify-secret-file',
      secretFile,
    ];
    const sent = await test(args, { PATH });
    expect([sent.code, sent.stdout, sent.stderr]).toEqual([
      0,
      '',
      '✔ command: the test was delivered\n✔ webhook: the test was delivered\n',
    ]);
    expect(await readFile(inHome('mail'), 'utf8')).toMatch(
      /^ops@example\.com\nSubject: test: this is how .+; nothing is wrong, nothing to do\n\nOn .+, run: \n$/,
    );

    const [, code = ''] = /```js\n(.+?)```/s.exec(docs) ?? [];
    await writeFile(inHome('check.mjs'), code);
    const { isFromBroker } = await import(pathToFileURL(inHome('check.mjs')).href);
    const { headers, body } = await receiver.next();
    expect(isFromBroker(headers, body, FAKE_WEBHOOK_SECRET)).toBe(true);
    expect(isFromBroker(headers, `${body} `, FAKE_WEBHOOK_SECRET)).toBe(false);
    expect(isFromBroker({ ...headers, 'webhook-timestamp': '1' }, body, FAKE_WEBHOOK_SECRET)).toBe(false);
    expect(isFromBroker({}, body, FAKE_WEBHOOK_SECRET)).toBe(false);
    expect(existsSync(journey.home.env.BROKER_HOME as string)).toBe(false);
  });

  it('exits 75 and says why when it could not be delivered, without the URL of the hook', async () => {
    receiver.answer(500);
    const file = inHome('hook.url');
    await writeFile(file, receiver.url);
    const args = ['--notify-webhook-file', file, '--notify-unsigned', '--notify-command', 'exit 3'];
    const failed = await test([...args, '--json', '--connection', 'coda']);
    expect(failed.code).toBe(75);
    expect(JSON.parse(failed.stdout)).toEqual([
      { way: 'command', delivered: false, failure: 'the command ended with code 3' },
      { way: 'webhook', delivered: false, failure: 'the webhook answered 500' },
    ]);
    expect(receiver.received[0]?.json.data.connection).toBe('coda');
    expect((await test(args)).stderr).toBe(
      'warning: command: the test was not delivered: the command ended with code 3\n' +
        'warning: webhook: the test was not delivered: the webhook answered 500\n',
    );
  });

  it.each<[string, string[], RegExp]>([
    ['nothing is set up', [], /no way to tell people is set up/],
    [
      'there is no such name',
      ['--connection', 'No Name', '--notify-command', 'true'],
      /is no name of a connection/,
    ],
  ])('exits 64 with a hint when %s', async (_, args, what) => {
    expectFailure(await test(args), 64, what);
  });
});
