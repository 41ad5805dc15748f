/**
 * The format of a backup: lines, each a standard JWE (RFC 7516, `dir` with A256GCM), which hold the vault's SQLite file
 * gzipped, a mebibyte a line, so that neither side ever has all of it in memory.
 *
 *     header { alg: dir, enc: A256GCM, kid, typ, version, backup, vault, made_at, schema, part, last }
 *
 * All of the header is authenticated. The key is derived from the master key named by `kid` and from `backup`, so that
 * it opens this backup and nothing else; `part` counts the lines and `last` marks the end, so that lines cannot be
 * dropped, added, swapped or cut off.
 */
import { hkdfSync, randomUUID } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { BrokerError, printable } from '../errors.ts';
import type { MasterKey } from './keyring.ts';

const TYPE = 'mcp-token-broker-backup';
const VERSION = 1;
const PURPOSE = 'mcp-token-broker backup 1';

const PART_BYTES = 1024 * 1024;
/** A part in base64url, with its header. What is longer is none. */
const MAX_LINE_BYTES = 2 * PART_BYTES;

/** What a backup says of itself. */
export interface BackupFacts {
  /** Names the backup, a UUID. */
  backup: string;
  /** Names the vault it was made of. */
  vault: string;
  /** RFC 3339. */
  madeAt: string;
  /** Number of the newest migration it has. */
  schema: number;
  masterKeyId: string;
}

/** Facts about a new backup. */
export function describeBackup(
  about: Pick<BackupFacts, 'vault' | 'madeAt' | 'schema' | 'masterKeyId'>,
): BackupFacts {
  return { backup: randomUUID(), ...about };
}

/** The content, sealed under the master key, line by line. */
export async function* sealBackup(
  content: AsyncIterable<Buffer>,
  facts: BackupFacts,
  masterKey: MasterKey,
): AsyncGenerator<string> {
  const key = keyFor(facts.backup, masterKey);
  let part = 0;
  let held: Buffer | undefined;
  const seal = async (bytes: Buffer, last: boolean) => {
    part += 1;
    const sealed = await new CompactEncrypt(bytes)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', ...toHeader(facts), part, last })
      .encrypt(key);
    return `${sealed}\n`;
  };
  // One is held back, because only the end tells which one is the last.
  for await (const bytes of inParts(content)) {
    if (held) yield await seal(held, false);
    held = bytes;
  }
  yield await seal(held ?? Buffer.alloc(0), true);
}

/** A backup whose first part has opened, so that its facts are true. */
export interface OpenedBackup {
  facts: BackupFacts;
  /** The content, each piece proven as it comes. Throws `backup_invalid`; whole only when it has ended without. */
  content: AsyncGenerator<Uint8Array>;
}

/**
 * Opens a backup.
 *
 * Throws `backup_invalid` for what is none or was changed, `key_wrong` for another master key, `vault_newer` for a
 * format of a later broker.
 */
export async function openBackup(source: AsyncIterable<Buffer>, masterKey: MasterKey): Promise<OpenedBackup> {
  const lines = linesOf(source);
  const { value: first, done } = await lines.next();
  if (done) throw invalid('it is empty');
  const facts = readFacts(first);
  if (!facts) throw invalid('it is no backup of the broker');
  if (facts.masterKeyId !== masterKey.id) {
    throw new BrokerError(
      'key_wrong',
      `the master key from ${masterKey.source} (${masterKey.id}) is not the one this backup was made with (${facts.masterKeyId})`,
      { hint: 'name the right one with --master-key-file or BROKER_MASTER_KEY_FILE; nothing was changed' },
    );
  }
  const key = keyFor(facts.backup, masterKey);
  return { facts, content: partsOf(await openPart(first, facts, 1, key), lines, facts, key) };
}

async function* partsOf(
  first: Part,
  lines: AsyncGenerator<string>,
  facts: BackupFacts,
  key: Uint8Array,
): AsyncGenerator<Uint8Array> {
  let { bytes, last } = first;
  for (let part = 2; ; part += 1) {
    yield bytes;
    const next = await lines.next();
    if (next.done && last) return;
    if (next.done) throw invalid('its end is missing');
    if (last) throw invalid('something follows its end');
    ({ bytes, last } = await openPart(next.value, facts, part, key));
  }
}

/** What the beginning of a file says, unproven. Undefined: it is no backup. Throws `vault_newer`. */
export async function peekBackup(source: AsyncIterable<Buffer>): Promise<BackupFacts | undefined> {
  try {
    const { value, done } = await linesOf(source).next();
    return done ? undefined : readFacts(value);
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'backup_invalid') return undefined;
    throw error;
  }
}

interface Part {
  bytes: Uint8Array;
  last: boolean;
}

async function openPart(line: string, facts: BackupFacts, part: number, key: Uint8Array): Promise<Part> {
  try {
    // Spelled in the one way there is: decoders let pass what changes no bit.
    if (!line.split('.').every(isCanonical)) throw new Error('not base64url as it is written');
    const { plaintext, protectedHeader } = await compactDecrypt(line, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    const { last } = protectedHeader;
    const expected = { alg: 'dir', enc: 'A256GCM', ...toHeader(facts), part, last };
    if (JSON.stringify(protectedHeader) !== JSON.stringify(expected))
      throw new Error('not the part wanted here');
    return { bytes: plaintext, last: last === true };
  } catch (error) {
    throw invalid(`part ${part} does not open`, error);
  }
}

const isCanonical = (text: string) => Buffer.from(text, 'base64url').toString('base64url') === text;

function keyFor(backup: string, { bytes }: MasterKey): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', bytes, backup, PURPOSE, 32));
}

function toHeader({
  masterKeyId,
  backup,
  vault,
  madeAt,
  schema,
}: BackupFacts): Record<string, string | number> {
  return { kid: masterKeyId, typ: TYPE, version: VERSION, backup, vault, made_at: madeAt, schema };
}

/** Undefined: these are no words of ours. */
function readFacts(line: string): BackupFacts | undefined {
  const header = headerOf(line);
  if (header?.typ !== TYPE) return undefined;
  const { kid, version, backup, vault, made_at, schema } = header;
  if (typeof version === 'number' && version > VERSION) {
    throw new BrokerError('vault_newer', `this backup was made by a newer broker (format ${version})`, {
      hint: 'install that version or a later one; nothing was changed',
    });
  }
  const isWhole =
    [kid, backup, vault, made_at].every((each) => typeof each === 'string') && typeof schema === 'number';
  if (!isWhole) return undefined;
  return {
    masterKeyId: printable(String(kid)),
    backup: String(backup),
    vault: String(vault),
    madeAt: String(made_at),
    schema: Number(schema),
  };
}

function headerOf(line: string): Record<string, unknown> | undefined {
  try {
    return decodeProtectedHeader(line);
  } catch {
    return undefined;
  }
}

/** The lines of a file that ends with a line break. Throws `backup_invalid` for a line that is no part of a backup. */
async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    let rest = chunk;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)]).toString('latin1');
      pieces = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    pieces.push(rest);
    length += rest.length;
    if (length > MAX_LINE_BYTES) throw invalid('it is no backup of the broker');
  }
  if (length > 0) throw invalid('it ends within a part');
}

/** The same bytes in pieces of a mebibyte. */
async function* inParts(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of content) {
    pieces.push(chunk);
    length += chunk.length;
    if (length < PART_BYTES) continue;
    const whole = Buffer.concat(pieces);
    let from = 0;
    for (; whole.length - from >= PART_BYTES; from += PART_BYTES)
      yield whole.subarray(from, from + PART_BYTES);
    pieces = [whole.subarray(from)];
    length = whole.length - from;
  }
  if (length > 0) yield Buffer.concat(pieces);
}

function invalid(why: string, cause?: unknown): BrokerError {
  return new BrokerError('backup_invalid', `the backup cannot be restored: ${why}`, {
    hint: 'it was cut off, changed or damaged on its way, or is no backup; use another one\nnothing was changed',
    ...(cause === undefined ? {} : { cause }),
  });
}
