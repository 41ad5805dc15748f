/** `broker add` with a credential that was entered by hand. */
import type { StaticCredential } from '../../core/entered.ts';
import { readHeaderTemplate } from '../../core/headers.ts';
import { BrokerError } from '../../errors.ts';
import { readOneSecretFromStdin, readSecretFile } from '../arguments.ts';

export interface EnteredOptions {
  bearerFile?: string;
  header?: string[];
  valueFile?: string[];
  none?: boolean;
}

/** The credential. Throws `usage` for one that is empty, or headers without their values. */
export function readEntered({
  bearerFile,
  header = [],
  valueFile = [],
  none,
}: EnteredOptions): StaticCredential {
  readOneSecretFromStdin([bearerFile, ...valueFile]);
  if (header.length !== valueFile.length) {
    throw new BrokerError(
      'usage',
      `--header and --value-file come in pairs, but there are ${header.length} and ${valueFile.length}`,
      {
        hint: 'each --header is followed by the --value-file that holds its secret',
      },
    );
  }
  if (none) return { kind: 'none' };
  if (bearerFile !== undefined) return { kind: 'bearer', token: readSecretFile(bearerFile, '--bearer-file') };
  const headers = header.map((text, index) => ({
    header: readHeaderTemplate(text),
    value: readSecretFile(valueFile[index] as string, '--value-file'),
  }));
  return { kind: 'headers', headers };
}
