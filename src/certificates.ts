/** The certificate authorities we trust: those of the system, and an operator's own. */
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { BrokerError, systemCode } from './errors.ts';

/**
 * All of them, PEM.
 *
 * @param caFile PEM file with further ones. Undefined: the result is undefined too, as nothing differs from the usual
 * Throws `usage` for a file that cannot be read.
 */
export function trustedCertificates(caFile: string | undefined): string[] | undefined {
  if (caFile === undefined) return undefined;
  try {
    return [...getCACertificates('default'), readFileSync(caFile, 'utf8')];
  } catch (error) {
    throw new BrokerError('usage', `the CA file ${caFile} cannot be read (${systemCode(error)})`, {
      hint: 'check --ca-file',
      cause: error,
    });
  }
}
