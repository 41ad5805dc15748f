import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runNoticeCommand } from '../../src/broker/notify-command.ts';
import { testMessage } from '../../src/broker/notify-message.ts';
import { requireWebhook, sendWebhook, signatureOf } from '../../src/broker/notify-webhook.ts';
import { createFetch } from '../../src/oauth/http.ts';
import { Secret } from '../../src/secret.ts';
import { NOW } from '../support/connection.ts';
import { type NoticeReceiver, startNoticeReceiver } from '../support/notice-receiver.ts';
import { FAKE_WEBHOOK_SECRET, isSigned } from '../support/notice-world.ts';

const ID = '00000000-0000-4000-8000-000000000003';
const MESSAGE = testMessage(ID, 'coda', NOW);
const fetch = createFetch({
  proxy: { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined },
  caFile: undefined,
  network: 'private',
});
const secret = new Secret(FAKE_WEBHOOK_SECRET);

describe('a notice by command', () => {
  let directory: string;
  const run = (command: string, deadlineMs?: number) => runNoticeCommand(command, MESSAGE, deadlineMs);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'broker-notify-'));
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(directory, { recursive: true });
  });

  it('is JSON on stdin and words in the environment, which leads to none of our secrets', async () => {
    const hidden = [
      ...['BROKER_MASTER_KEY', 'BROKER_MASTER_KEY_FILE', 'BROKER_MASTER_KEY_COMMAND', 'BROKER_AGENT_KEY'],
      ...[
        'BROKER_AGENT_KEY_FILE',
        'BROKER_NOTIFY_WEBHOOK',
        'BROKER_NOTIFY_WEBHOOK_FILE',
        'BROKER_NOTIFY_SECRET_FILE',
      ],
    ];
    for (const name of hidden) vi.stubEnv(name, `fake-value-of-${name}`);
    vi.stubEnv('BROKER_NOTICE_TEST', 'passed on');
    const file = join(directory, 'notice');
    expect(await run(`cat > '${file}.json'; env > '${file}.env'`)).toEqual({ isDelivered: true });
    expect(JSON.parse(await readFile(`${file}.json`, 'utf8'))).toEqual(MESSAGE);
    const env = await readFile(`${file}.env`, 'utf8');
    expect(env).toContain('BROKER_NOTICE_TEST=passed on\n');
    expect(env).toContain('BROKER_NOTICE_KIND=test\n');
    expect(env).toContain('BROKER_NOTICE_CONNECTION=coda\n');
    expect(env).toContain('BROKER_NOTICE_LEVEL=0\n');
    expect(env).toContain(`BROKER_NOTICE_MESSAGE=${MESSAGE.data.message}\n`);
    expect(env).toMatch(/^BROKER_NOTICE_NEXT_STEP=$/m);
    expect(env).not.toContain('fake-value');
  });

  it.each([
    ['echo no route to host >&2; exit 67', 'the command ended with code 67: no route to host'],
    ['exit 1', 'the command ended with code 1'],
    ['kill -9 $$', 'the command ended with SIGKILL'],
    [`printf '\\033[2Jwiped'; exit 2`, 'the command ended with code 2: [2Jwiped'],
  ])('has failed when %j ends, which is told with the start of its output', async (command, failure) => {
    expect(await run(command)).toEqual({ isDelivered: false, failure });
  });

  it('is delivered by a command that reads nothing and prints a great deal', async () => {
    expect(await run('head -c 2000000 /dev/zero')).toEqual({ isDelivered: true });
  });

  it('is ended at its deadline, with all that the command started', async () => {
    const file = join(directory, 'pid');
    const sent = await run(`sleep 60 & echo $! > '${file}'; wait`, 300);
    expect(sent).toEqual({ isDelivered: false, failure: 'the command did not end within 0.3 s' });
    const pid = Number(await readFile(file, 'utf8'));
    // Gone, or not yet collected by its new parent.
    await vi.waitFor(async () => {
      const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
      expect(status).toMatch(/\) [ZX]/);
    });
  });
});

describe('a notice by webhook', () => {
  let receiver: NoticeReceiver;
  const send = (signed = true) =>
    sendWebhook(
      fetch,
      { url: new Secret(receiver.url), secret: signed ? secret : undefined },
      MESSAGE,
      NOW + 999,
    );

  beforeEach(async () => {
    receiver = await startNoticeReceiver();
  });

  afterEach(() => receiver.close());

  it('is signed as the specification has it', () => {
    // The example that the implementations of Standard Webhooks are tested with.
    const known = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    expect(signatureOf(known, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}')).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  it('carries id, time and signature of exactly what is sent', async () => {
    expect(await send()).toEqual({ isDelivered: true });
    const [notice] = receiver.received;
    expect(notice?.headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': ID,
      'webhook-timestamp': String(NOW / 1000),
    });
    expect(notice && isSigned(notice)).toBe(true);
    const { type, timestamp, data } = MESSAGE;
    expect(notice?.json).toEqual({ type, timestamp, data: { type, ...data }, text: data.message });
  });

  it('has text for chats, and no signature and no type for them when it is unsigned', async () => {
    await send(false);
    const [notice] = receiver.received;
    expect(notice?.headers).not.toHaveProperty('webhook-signature');
    expect(notice?.json).not.toHaveProperty('type');
    expect(notice?.json.data.type).toBe('notify.test');
  });

  it('cannot call anybody in a chat: what is markup there is text', async () => {
    const data = { ...MESSAGE.data, message: 'a <!channel> & <file>' };
    await sendWebhook(fetch, { url: new Secret(receiver.url), secret }, { ...MESSAGE, data }, NOW);
    expect(receiver.received[0]?.json.text).toBe('a &lt;!channel&gt; &amp; &lt;file&gt;');
    expect(receiver.received[0]?.json.data.message).toBe(data.message);
  });

  it('tells a failure without the URL, which may be a secret', async () => {
    await receiver.close();
    const sent = await send();
    expect(sent).toEqual({ isDelivered: false, failure: 'the webhook could not be reached (ECONNREFUSED)' });
    // A metadata service of a cloud is never called.
    const forbidden = { url: new Secret('https://169.254.169.254/fake-path'), secret };
    const refused = await sendWebhook(fetch, forbidden, MESSAGE, NOW);
    expect(refused.isDelivered).toBe(false);
    expect(JSON.stringify(refused)).not.toContain('fake-path');
  });

  it.each([
    ['http://hooks.example.com/x', FAKE_WEBHOOK_SECRET],
    ['https://user:word@hooks.example.com/x', FAKE_WEBHOOK_SECRET],
    ['hooks.example.com', FAKE_WEBHOOK_SECRET],
    ['https://hooks.example.com/x', 'whsec_fake'],
    ['https://hooks.example.com/x', 'whsec_this is no base64, however long it may be'],
    ['https://hooks.example.com/x', 'too-short-a-secret'],
  ])('is refused at entry for the URL %s and the secret %s', (url, text) => {
    const settings = { url: new Secret(url), secret: new Secret(text) };
    expect(() => requireWebhook(settings)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('may be signed with any text of 24 bytes', async () => {
    const text = new Secret('fake-but-long-enough-text');
    expect(() => requireWebhook({ url: new Secret(receiver.url), secret: text })).not.toThrow();
    expect(signatureOf(text, ID, 1, '{}')).not.toBe(signatureOf(secret, ID, 1, '{}'));
  });
});
