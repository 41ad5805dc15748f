/** A world whose broker tells a real receiver, with a secret to sign with, and a grant that can die. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Broker } from '../../src/broker/index.ts';
import type { NotifySettings } from '../../src/broker/notify-ways.ts';
import { Secret } from '../../src/secret.ts';
import { type NoticeReceiver, type ReceivedNotice, startNoticeReceiver } from './notice-receiver.ts';
import { signIn } from './sign-in.ts';
import { rowsOf } from './vault-file.ts';
import { startWorld, type World } from './world.ts';

const KEY = Buffer.from('fake-signing-key-of-32-bytes-....');
export const FAKE_WEBHOOK_SECRET = `whsec_${KEY.toString('base64')}`;

export interface NoticeWorld extends World {
  receiver: NoticeReceiver;
  settings: World['settings'];
  /** Tell the receiver, signed. */
  byWebhook: NotifySettings;
  broker: Broker;
  /** The login ends: the server forgets it, and a refresh finds out, twice. */
  endLogin(): Promise<void>;
  /** Lets time pass by steps of half a minute, until the receiver gets something. */
  untilTold(): Promise<ReceivedNotice>;
  /** Lets so many minutes pass, by steps of half a minute. */
  pass(minutes: number): Promise<void>;
  /** Rows of deliveries. */
  deliveries(): { way: string; attempts: number; outcome: string | null; next_attempt_at: number | null }[];
}

/** `demo` is signed in; nobody is told of anything before `broker.notices` is asked to. */
export async function startNoticeWorld({ isResident = true } = {}): Promise<NoticeWorld> {
  const world = await startWorld();
  const receiver = await startNoticeReceiver();
  const broker = await world.openBroker({ isResident });
  await signIn(broker, world.authorizationServer, world.mcp.url);

  async function pass(minutes: number): Promise<void> {
    for (let step = 0; step < minutes * 2; step += 1) {
      await world.clock.untilWaiting();
      await world.clock.advance(30_000);
      // What is on its way to the receiver comes there before this.
      await fetch(world.mcp.url).catch(() => undefined);
    }
  }

  return {
    ...world,
    receiver,
    broker,
    byWebhook: {
      command: undefined,
      webhook: { url: new Secret(receiver.url), secret: new Secret(FAKE_WEBHOOK_SECRET) },
      afterMs: 15 * 60_000,
    },
    async endLogin() {
      await world.authorizationServer.revokeGrantsOf('alice');
      await broker.refresh({ kind: 'operator' }, 'demo').catch(() => undefined);
      world.clock.jump(61_000);
      await broker.refresh({ kind: 'operator' }, 'demo').catch(() => undefined);
    },
    pass,
    async untilTold() {
      let isTold = false;
      const next = receiver.next().finally(() => {
        isTold = true;
      });
      while (!isTold) await pass(0.5);
      return next;
    },
    deliveries: () => rowsOf(world.vaultPath, 'SELECT * FROM notice_deliveries ORDER BY rowid'),
    async close() {
      await world.close();
      await receiver.close();
    },
  };
}

/** Whether the notice was signed with the secret, judged as a receiver would. */
export function isSigned({ headers, body }: ReceivedNotice): boolean {
  const id = headers['webhook-id'];
  const at = headers['webhook-timestamp'];
  const expected = createHmac('sha256', KEY).update(`${id}.${at}.${body}`).digest();
  const [version, given = ''] = String(headers['webhook-signature']).split(',');
  const bytes = Buffer.from(given, 'base64');
  return version === 'v1' && bytes.byteLength === expected.byteLength && timingSafeEqual(bytes, expected);
}
