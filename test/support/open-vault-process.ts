/**
 * Opens, or makes, the vault named by the first argument with the default key file named by the second, and writes
 * one audit record: one of several processes at once.
 */
import { systemClock } from '../../src/clock.ts';
import { openVault } from '../../src/vault/index.ts';

const [path = '', defaultFile = ''] = process.argv.slice(2);
const vault = await openVault({ path, masterKey: { defaultFile }, clock: systemClock, create: true });
await vault.transaction(() => vault.audit.append({ actor: 'operator', action: 'test', outcome: 'ok' }));
await vault.close();
