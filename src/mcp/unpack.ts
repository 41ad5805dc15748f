/** Answers of servers that pack them although they were asked not to (`Accept-Encoding: identity`). */
import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { BrokerError, quote } from '../errors.ts';
import { discard } from './discard.ts';

/** By content coding (RFC 9110 §8.4.1). */
const UNPACKERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

interface Packed {
  headers: IncomingHttpHeaders;
  body: Readable;
}

/** The answer in plain. Throws `upstream_unavailable` for a coding nobody knows. */
export function unpack<Answer extends Packed>(answer: Answer): Answer {
  const { 'content-encoding': coding, ...headers } = answer.headers;
  const codings = String(coding ?? '')
    .split(',')
    .map((each) => each.trim().toLowerCase())
    .filter((each) => each !== '' && each !== 'identity');
  if (codings.length === 0) return { ...answer, headers };
  const unknown = codings.find((each) => !Object.hasOwn(UNPACKERS, each));
  if (unknown !== undefined || codings.length > 1) {
    discard(answer.body);
    throw new BrokerError(
      'upstream_unavailable',
      `the server packs its answers as ${quote(codings.join(', '))}`,
      {
        hint: 'nobody asked it to, and nobody could read them: tell whoever keeps the server',
      },
    );
  }
  delete headers['content-length'];
  return {
    ...answer,
    headers,
    body: unpacked(answer.body, UNPACKERS[codings[0] as string] as () => Transform),
  };
}

function unpacked(body: Readable, unpacker: () => Transform): Readable {
  // Whoever reads it is told of errors of either.
  return pipeline(body, unpacker(), () => {});
}
