/**
 * Reads `WWW-Authenticate` (RFC 9110 §11.6.1): a list of challenges, each a scheme with parameters.
 * A bare token behind a scheme (`Negotiate abc==`) is passed over: no scheme we speak has one.
 *
 * Written as a tokenizer because real headers need it: several challenges in one header, commas inside quoted
 * strings, unquoted URLs, another scheme first.
 */

export interface Challenge {
  /** Lower case, such as `bearer`. */
  scheme: string;
  /** Names in lower case. Of a repeated name all values are kept, in order. */
  parameters: Map<string, string[]>;
}

const TOKEN = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y;
/** Lenient: real servers leave URLs unquoted, which holds characters no token may hold. */
const UNQUOTED_VALUE = /[^\s,"]+/y;
const QUOTED_VALUE = /"((?:[^"\\]|\\.)*)"?/sy;
const EQUALS = /\s*=\s*(?!=)/y;
const SEPARATORS = /[\s,]*/y;
/** All that stands behind a scheme up to the comma or the end, where parameters would have their equals sign. */
const TOKEN68 = /[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y;

/** All challenges of one header, or of several joined by commas. Never throws; what makes no sense is passed over. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let position = 0;

  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = position;
    const match = pattern.exec(header);
    if (!match) return undefined;
    position = pattern.lastIndex;
    return match;
  }

  function takeValue(): string {
    const quoted = take(QUOTED_VALUE)?.[1];
    return quoted?.replace(/\\(.)/gs, '$1') ?? take(UNQUOTED_VALUE)?.[0] ?? '';
  }

  while (position < header.length) {
    take(SEPARATORS);
    const word = take(TOKEN)?.[0].toLowerCase();
    if (word === undefined) {
      position += 1;
    } else if (take(EQUALS)) {
      const value = takeValue();
      const parameters = challenges.at(-1)?.parameters;
      const values = parameters?.get(word);
      if (values) values.push(value);
      else parameters?.set(word, [value]);
    } else {
      challenges.push({ scheme: word, parameters: new Map() });
      take(TOKEN68);
    }
  }
  return challenges;
}

/** What a Bearer (or DPoP) challenge of an MCP server tells us. @see RFC 9728 §5.1, RFC 6750 §3 */
export interface BearerChallenge {
  /** Every `resource_metadata` URL, in order: some servers send a dead one first. */
  resourceMetadata: string[];
  scope: string | undefined;
  error: string | undefined;
}

/** Undefined when the header holds no Bearer or DPoP challenge. */
export function readBearerChallenge(header: string): BearerChallenge | undefined {
  const challenges = parseChallenges(header).filter(({ scheme }) => scheme === 'bearer' || scheme === 'dpop');
  if (challenges.length === 0) return undefined;
  const all = (name: string) => challenges.flatMap(({ parameters }) => parameters.get(name) ?? []);
  return { resourceMetadata: all('resource_metadata'), scope: all('scope')[0], error: all('error')[0] };
}
