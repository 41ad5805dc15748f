/** Header names and values that a credential may be made of (RFC 9110 §5). */
import { BrokerError, quote } from '../errors.ts';

/** A header with its value still open: `{{token}}` stands for the secret. */
export interface HeaderTemplate {
  name: string;
  /** Default: the secret alone. */
  template: string;
}

const NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;

/** Visible characters, spaces and tabs inside: nothing that could end a header and begin another. */
const VALUE = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

/** What belongs to the connection or to the message, not to a credential. */
const FORBIDDEN = new Set([
  ...[
    'host',
    'content-length',
    'content-type',
    'content-encoding',
    'transfer-encoding',
    'accept',
    'accept-encoding',
  ],
  ...[
    'connection',
    'keep-alive',
    'proxy-authenticate',
    'proxy-authorization',
    'proxy-connection',
    'te',
    'trailer',
  ],
  ...[
    'upgrade',
    'expect',
    'origin',
    'date',
    'via',
    'mcp-session-id',
    'mcp-protocol-version',
    'last-event-id',
  ],
]);

const SECRET_PLACE = '{{token}}';

/**
 * Reads `X-Api-Key`, or `Authorization: Token {{token}}`. Throws `usage` for a name no credential may have, and for a
 * template without its secret.
 */
export function readHeaderTemplate(text: string): HeaderTemplate {
  const colon = text.indexOf(':');
  const name = (colon === -1 ? text : text.slice(0, colon)).trim();
  const template = colon === -1 ? SECRET_PLACE : text.slice(colon + 1).trim();
  if (!NAME.test(name)) {
    // What follows the name may be a secret that was typed by mistake.
    const [start = ''] = /^[^\s=:]*/.exec(name) ?? [];
    const shown = start === name ? quote(name) : `what begins with ${quote(start)}`;
    throw refused(
      `${shown} is no header name`,
      'give the name alone, such as X-Api-Key; its secret comes in a file',
    );
  }
  if (FORBIDDEN.has(name.toLowerCase())) {
    throw refused(
      `the header ${name} belongs to the request itself`,
      'a credential has a header of its own, such as X-Api-Key',
    );
  }
  if (template.split(SECRET_PLACE).length !== 2) {
    throw refused(
      `the header ${name} does not say where its secret goes`,
      `write ${SECRET_PLACE} once, such as --header 'Authorization: Bearer ${SECRET_PLACE}'`,
    );
  }
  return { name, template };
}

/** The value of the header with its secret in place. Throws `usage` when it would not be one header. */
export function fillTemplate({ name, template }: HeaderTemplate, secret: string): string {
  const value = template.replace(SECRET_PLACE, () => secret);
  // Text around a secret that is not there would be sent as if it were one.
  if (secret.trim() !== '' && VALUE.test(value)) return value;
  throw refused(
    `the value for the header ${name} cannot be sent`,
    'it holds a line break, a control character, or nothing',
  );
}

/** Throws `usage` for a name that is there twice, whatever its case. */
export function requireDistinct(names: string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name.toLowerCase()))
      throw refused(`the header ${name} is there twice`, 'give each header once');
    seen.add(name.toLowerCase());
  }
}

function refused(message: string, hint: string): BrokerError {
  return new BrokerError('usage', message, { hint });
}
