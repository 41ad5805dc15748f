/** Files for the textfile collector of node_exporter. */
import { BrokerError, systemCode } from '../errors.ts';
import { replaceFile } from './replace-file.ts';

/** Everybody may read it: the collector runs as another user. */
const MODE = 0o644;

/** Replaces the file, mode 0644. Throws `usage`. */
export function writeTextfile(path: string, text: string): void {
  try {
    replaceFile(path, text, MODE);
  } catch (error) {
    throw new BrokerError('usage', `${path} cannot be written (${systemCode(error)})`, {
      hint: '--prometheus-file takes the path of a file in a directory that this user may write to',
      cause: error,
    });
  }
}
