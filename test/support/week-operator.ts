/** What the operator of the week does, each as the command of the same name: it opens the vault, and closes it again. */
import { createReadStream } from 'node:fs';
import type { BackupView } from '../../src/broker/backups.ts';
import { type Broker, openBroker } from '../../src/broker/index.ts';
import { type RestoreView, restore } from '../../src/broker/restore.ts';
import type { Clock } from '../../src/clock.ts';
import type { Settings } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { signIn } from './sign-in.ts';
import type { Vendor } from './week-vendors.ts';

export interface Operator {
  /** Any command. With a file, the master key is from there: `--master-key-file`. */
  run<T>(work: (broker: Broker) => Promise<T>, masterKeyFile?: string): Promise<T>;
  /** `broker login <url> --name <name>` the first time, then `broker login <name>`. */
  login(vendor: Vendor): Promise<void>;
  /** `broker backup <file>` */
  backup(file: string): Promise<BackupView>;
  /** `broker restore <file>` */
  restore(file: string, masterKeyFile: string): Promise<RestoreView>;
  /** `broker key rotate --new-master-key-file <file>`: both open then. The id of the old one. */
  changeMasterKey(file: string, masterKeyFile?: string): Promise<string>;
}

export function createOperator(settings: Settings, clock: Clock): Operator {
  const log = createLog('silent');
  const settingsWith = (masterKeyFile: string | undefined) =>
    masterKeyFile === undefined
      ? settings
      : { ...settings, masterKey: { ...settings.masterKey, file: masterKeyFile } };

  async function run<T>(work: (broker: Broker) => Promise<T>, masterKeyFile?: string): Promise<T> {
    const broker = await openBroker({ settings: settingsWith(masterKeyFile), clock, log, create: true });
    try {
      return await work(broker);
    } finally {
      await broker.close();
    }
  }

  return {
    run,
    login: ({ name, person, authorizationServer, mcp }) =>
      run(async (broker) => {
        const isNew = (await broker.urlOf(name)) === undefined;
        await signIn(broker, authorizationServer, isNew ? mcp.url : name, { name, person });
      }),
    backup: (path) => run(({ backups }) => backups.make({ path, force: false, keep: undefined })),
    restore: (file, masterKeyFile) =>
      restore(createReadStream(file), { settings: settingsWith(masterKeyFile), log, clock, force: false }),
    changeMasterKey: (file, masterKeyFile) =>
      run(async ({ keys }) => {
        const { old_master_key: old } = await keys.rotate({ data: false, newMasterKeyFile: file });
        return old as string;
      }, masterKeyFile),
  };
}
