/**
 * JSON that means the same to everybody who reads it (RFC 8259 §4). An object that names a member twice is read by one
 * parser as the first, by another as the last; what a policy looked at must be what the server behind it will see.
 */

/** Why a text is refused: words to follow "the body". */
export class AmbiguousJson extends Error {}

/** Deeper than any message of a known protocol, and far from what would exhaust a stack. */
const MAX_DEPTH = 256;

/**
 * The value of a JSON text. Throws `AmbiguousJson` when it is no JSON, too deep, or names a member of an object twice,
 * however the names are escaped.
 */
export function parseStrict(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AmbiguousJson('is not JSON');
  }
  requireUnambiguous(text);
  return value;
}

/** Whether a text that is JSON means the same to everybody. */
export function isUnambiguous(text: string): boolean {
  try {
    requireUnambiguous(text);
    return true;
  } catch {
    return false;
  }
}

/** @param text is JSON, so only strings and brackets need looking at */
function requireUnambiguous(text: string): void {
  // For each open bracket the names seen so far; undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let isName = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '{':
        open.push(new Set());
        isName = true;
        break;
      case '[':
        open.push(undefined);
        isName = false;
        break;
      case '}':
      case ']':
        open.pop();
        isName = false;
        break;
      case ',':
        isName = open.at(-1) !== undefined;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (isName) addName(open.at(-1), text.slice(at, end + 1));
        isName = false;
        at = end;
        break;
      }
    }
    if (open.length > MAX_DEPTH) throw new AmbiguousJson(`is nested deeper than ${MAX_DEPTH} levels`);
  }
}

function addName(names: Set<string> | undefined, quoted: string): void {
  const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
  if (names?.has(name)) throw new AmbiguousJson('names a member of an object twice');
  names?.add(name);
}

/** Index of the quote that ends the string begun at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}
