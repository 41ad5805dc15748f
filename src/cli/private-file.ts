/** Files that only their owner may read, replaced as a whole. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { BrokerError, systemCode } from '../errors.ts';
import { replaceFile } from './replace-file.ts';

/** Throws `usage` when no file can be at that place: it is a directory, or its directory is none. */
export function requireFilePlace(path: string, option: string): void {
  const isDirectory = (each: string) => statSync(each, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isDirectory(dirname(path)) && !isDirectory(path)) return;
  throw new BrokerError(
    'usage',
    `${path} cannot be written: ${isDirectory(path) ? 'it is a directory' : `there is no directory ${dirname(path)}`}`,
    {
      hint: `${option} takes the path of a file in a directory that exists`,
    },
  );
}

/** Replaces the file, mode 0600. Throws `push_failed`. */
export function writePrivateFile(path: string, text: string): void {
  try {
    replaceFile(path, text, 0o600);
  } catch (error) {
    throw new BrokerError('push_failed', `${path} cannot be written (${systemCode(error)})`, {
      hint: 'check permissions and space; what was there before is unchanged',
      cause: error,
    });
  }
}
