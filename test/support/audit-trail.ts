import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AuditVerificationView } from '../../src/broker/audit-verify.ts';
import { OPERATOR } from '../../src/broker/context.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { createLog } from '../../src/log.ts';
import { signIn } from './sign-in.ts';
import { startWorld, type World } from './world.ts';

/** A vault in which three processes did this and that, and what somebody with its file may do to copies of it. */
export interface AuditTrail {
  world: World;
  /** Rows of its audit trail. */
  rows: number;
  /** Copies the file, changes the copy with SQL, and opens it as a process of the broker would. Closed by `close`. */
  tamper(change: (database: DatabaseSync) => void): Promise<Broker>;
  /** What `verify` finds in a copy that was changed so. */
  verdict(change: string | ((database: DatabaseSync) => void)): Promise<AuditVerificationView>;
  close(): Promise<void>;
}

/** Signs in, hands out tokens and changes agents, as three processes in turn. */
export async function startAuditTrail(): Promise<AuditTrail> {
  const world = await startWorld();
  const first = await world.openBroker();
  await signIn(first, world.authorizationServer, world.mcp.url, { name: 'demo' });
  await first.agents.add({ name: 'bot', allow: ['demo'], modes: ['token'], admin: false, expiresAt: null });
  await first.token(OPERATOR, 'demo');
  await first.close();
  const second = await world.openBroker();
  for (const rate of [1, 2, 3]) {
    await world.clock.advance(60_000);
    await second.agents.set('bot', { rate: { requests: rate, per: 'm' } });
  }
  await second.close();
  const third = await world.openBroker();
  await third.refresh(OPERATOR, 'demo');
  await third.agents.revoke('bot');
  await third.close();
  const opened: Broker[] = [];
  let copies = 0;

  async function tamper(change: (database: DatabaseSync) => void): Promise<Broker> {
    copies += 1;
    const copy = join(world.home.path, `copy-${copies}.db`);
    copyVault(world.vaultPath, copy);
    const database = new DatabaseSync(copy);
    change(database);
    database.close();
    const settings = { ...world.settings, database: copy };
    const broker = await openBroker({
      settings,
      clock: world.clock,
      log: createLog('silent'),
      create: false,
    });
    opened.push(broker);
    return broker;
  }

  const { rows } = await (await tamper(() => {})).audit.verify();
  return {
    world,
    rows,
    tamper,
    async verdict(change) {
      const broker = await tamper(typeof change === 'string' ? (database) => database.exec(change) : change);
      return broker.audit.verify();
    },
    async close() {
      await Promise.all(opened.map((broker) => broker.close()));
      await world.close();
    },
  };
}

function copyVault(from: string, to: string): void {
  const database = new DatabaseSync(from, { readOnly: true });
  database.prepare('VACUUM INTO ?').run(to);
  database.close();
}
