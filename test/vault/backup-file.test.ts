import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { CompactEncrypt } from 'jose';
import { describe, expect, it } from 'vitest';
import { describeBackup, openBackup, peekBackup, sealBackup } from '../../src/vault/backup-file.ts';
import { encrypt } from '../../src/vault/jwe.ts';

const key = (byte: number) => ({
  id: `master-${byte}`,
  bytes: new Uint8Array(32).fill(byte),
  source: 'test',
});
const KEY = key(1);
const ABOUT = { vault: 'vault-1', madeAt: '2026-01-01T00:00:00Z', schema: 1, masterKeyId: KEY.id };

async function* chunks(content: Buffer, size = 65_536): AsyncGenerator<Buffer> {
  for (let from = 0; from < content.length; from += size) yield content.subarray(from, from + size);
}

async function seal(content: Buffer, about = ABOUT): Promise<Buffer> {
  const lines: string[] = [];
  for await (const line of sealBackup(chunks(content), describeBackup(about), KEY)) lines.push(line);
  return Buffer.from(lines.join(''));
}

async function open(file: Buffer, master = KEY, size?: number): Promise<Buffer> {
  const { content } = await openBackup(chunks(file, size), master);
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

const linesOf = (file: Buffer) => file.toString().split(/(?<=\n)/);
const refusal = (file: Buffer) => open(file).then(String, ({ code }) => code);

describe('a backup file', () => {
  // Several parts, the last one short.
  const content = randomBytes(2.5 * 1024 * 1024);

  it.each([0, 1, 1024 * 1024, 1024 * 1024 + 1])('gives back %i bytes as they were', async (length) => {
    const original = content.subarray(0, length);
    expect((await open(await seal(original))).equals(original)).toBe(true);
  });

  it('is read in pieces of any size', async () => {
    const file = await seal(content);
    expect(linesOf(file)).toHaveLength(3);
    expect((await open(file, KEY, 1_000_003)).equals(content)).toBe(true);
  });

  it('says what it is without a key, and no more', async () => {
    const file = await seal(Buffer.from('the name of a connection'));
    expect(await peekBackup(chunks(file))).toEqual({
      backup: expect.stringMatching(/^[\da-f-]{36}$/),
      ...ABOUT,
    });
    expect(await peekBackup(chunks(Buffer.from('no backup\n')))).toBeUndefined();
    expect(await peekBackup(chunks(Buffer.alloc(5_000_000, 'x')))).toBeUndefined();
    expect(file.toString()).not.toContain('the name');
  });

  it('does not open with another master key, and names the one it wants', async () => {
    await expect(open(await seal(content), key(2))).rejects.toMatchObject({
      code: 'key_wrong',
      message: expect.stringMatching(/test \(master-2\) .* \(master-1\)$/),
    });
    // One that only calls itself so.
    await expect(open(await seal(content), { ...key(2), id: KEY.id })).rejects.toMatchObject({
      code: 'backup_invalid',
    });
  });

  it('does not open when a part is dropped, doubled, swapped, added, or taken from another backup', async () => {
    const [first = '', second = '', third = ''] = linesOf(await seal(content));
    const [, foreign = '', foreignEnd = ''] = linesOf(await seal(content));
    const changed = [
      [],
      [first],
      [first, second],
      [first, third],
      [second, third],
      [first, first, second, third],
      [second, first, third],
      [first, second, third, third],
      [first, foreign, third],
      [first, second, foreignEnd],
    ];
    for (const lines of changed) expect(await refusal(Buffer.from(lines.join('')))).toBe('backup_invalid');
    expect(await refusal(Buffer.from([first, second, third].join('')))).not.toBe('backup_invalid');
  });

  it('does not open when it is cut off anywhere', async () => {
    const file = await seal(randomBytes(300));
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), async (length) => {
        expect(await refusal(file.subarray(0, length))).toBe('backup_invalid');
      }),
      { numRuns: 60 },
    );
  });

  it('does not open when any bits of any byte are flipped', async () => {
    const file = await seal(randomBytes(300));
    const flipped = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }));
    // The last character of a part in base64url has bits that mean nothing.
    const ends = file.length - 2;
    await fc.assert(
      fc.asyncProperty(flipped, async ([at, mask]) => {
        const copy = Buffer.from(file);
        copy[at] = (copy[at] as number) ^ mask;
        expect(['backup_invalid', 'key_wrong', 'vault_newer']).toContain(await refusal(copy));
      }),
      { numRuns: 300, examples: Array.from({ length: 64 }, (_, mask) => [[ends, mask + 1]]) },
    );
  });

  it('is not what the vault sealed under the same key for another purpose', async () => {
    expect(await refusal(Buffer.from(`${await encrypt('x', KEY.id, KEY.bytes, { wraps: 'key' })}\n`))).toBe(
      'backup_invalid',
    );
    // Not even one that looks the same, since its key is not derived.
    const [header = ''] = (await seal(content)).toString().split('.');
    const fields = JSON.parse(Buffer.from(header, 'base64url').toString());
    const forged = await new CompactEncrypt(Buffer.from('x'))
      .setProtectedHeader({ ...fields, last: true })
      .encrypt(KEY.bytes);
    expect(await refusal(Buffer.from(`${forged}\n`))).toBe('backup_invalid');
  });

  it('of a later format is left to a later broker', async () => {
    const [header = ''] = (await seal(content)).toString().split('.');
    const fields = JSON.parse(Buffer.from(header, 'base64url').toString());
    const newer = Buffer.from(JSON.stringify({ ...fields, version: 2 })).toString('base64url');
    expect(await refusal(Buffer.from(`${newer}..a.b.c\n`))).toBe('vault_newer');
  });
});
