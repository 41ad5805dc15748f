import { PassThrough, Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { readUpTo } from '../../src/mcp/read-up-to.ts';

it('reads a stream whole, or until it is too long', async () => {
  const text = () => Readable.from([Buffer.from('abc'), Buffer.from('def')]);
  expect(await readUpTo(text(), 6)).toEqual({ bytes: Buffer.from('abcdef'), isWhole: true });
  expect(await readUpTo(text(), 5)).toMatchObject({ isWhole: false });
});

it.each([
  ['with an error', Object.assign(new Error('reset'), { code: 'ECONNRESET' }), 'ECONNRESET'],
  ['without one', undefined, 'ERR_STREAM_PREMATURE_CLOSE'],
])('tells of a stream that broke off before anybody read it: %s', async (_how, error, code) => {
  const stream = new PassThrough().on('error', () => {});
  stream.destroy(error);
  await setImmediate();
  await expect(readUpTo(stream, 10)).rejects.toMatchObject({ code });
});
