/** Writes log lines as the broker would: what reaches stderr is what a test looks at. */
import { BrokerError } from '../../src/errors.ts';
import { createLog, type LogLevel } from '../../src/log.ts';
import { Secret } from '../../src/secret.ts';

const log = createLog((process.argv[2] ?? 'info') as LogLevel);
const cause = new Error('{"refresh_token":"fake-in-cause"}');
const err = new BrokerError('upstream_unavailable', 'cannot be reached', { cause });

log.debug('a detail');
log.info({ connection: 'coda', token: new Secret('fake-secret-object') }, 'a secret object');
log.info(
  { access_token: 'fake-top', body: { refresh_token: 'fake-nested', client_secret: 'fake-nested' } },
  'wire objects',
);
log.info({ connection: 'coda', generation: 3, verdict: 'unknown', code: 'http_502' }, 'refresh answered');
log.error({ err }, 'an error');
