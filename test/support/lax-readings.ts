/** All the ways in which somebody careless could read a request: what any of them finds, the lax server does. */
import type { IncomingHttpHeaders } from 'node:http';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

/** What a request could be taken for. */
export interface Reading {
  method: string;
  /** Tool, prompt or URI, as the lax reader understands it. */
  name: string;
  id: unknown;
}

/** Every call that somebody could find in the body or the headers. */
export function readingsOf(headers: IncomingHttpHeaders, body: Buffer): Reading[] {
  const texts = textsOf(body);
  const structured = texts.flatMap((text) => valuesIn(text).flatMap(callsIn));
  return [...structured, ...texts.flatMap(looselyIn), ...inHeaders(headers)];
}

/** Spelling does not matter to it. */
export function plain(name: unknown): string {
  if (Array.isArray(name)) return plain(name[0]);
  if (typeof name === 'object' && name !== null) return plain(Object.values(name)[0]);
  return decode(String(name))
    .normalize('NFKD')
    .replace(/[\p{C}\p{Z}\p{Mn}\p{Default_Ignorable_Code_Point}]/gu, '')
    .toUpperCase()
    .toLowerCase();
}

/** A URI as a careless file server reads it: unescaped, without query and fragment, `.` and `..` undone. */
export function plainUri(uri: string): string {
  const text = decode(decode(uri))
    .replaceAll('\\', '/')
    .replace(/[?#].*$/s, '')
    .toLowerCase()
    .trim();
  const parts: string[] = [];
  for (const part of text.replace(/^file:(\/\/[^/]*)?/, '').split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function decode(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function textsOf(body: Buffer): string[] {
  const unpacked = [gunzipSync, inflateSync, brotliDecompressSync].flatMap((unpack) => {
    try {
      return [unpack(body)];
    } catch {
      return [];
    }
  });
  return [body, ...unpacked].flatMap((bytes) => {
    const utf8 = bytes.toString('utf8');
    return [
      utf8,
      bytes.toString('utf16le'),
      swapped(bytes).toString('utf16le'),
      fromUtf7(utf8),
      decode(utf8),
    ];
  });
}

function swapped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 2))).swap16();
}

function fromUtf7(text: string): string {
  return text.replace(/\+([A-Za-z0-9+/]+)-/g, (_, packed) =>
    swapped(Buffer.from(packed, 'base64')).toString('utf16le'),
  );
}

/** Every JSON value in the text, whatever stands around it. */
function valuesIn(text: string): unknown[] {
  const values: unknown[] = [];
  for (let at = text.search(/[[{]/); at !== -1; ) {
    const end = endOfValue(text, at);
    const value = end === -1 ? undefined : parsed(text.slice(at, end));
    if (value !== undefined) values.push(value);
    const next = text.slice(value === undefined ? at + 1 : end).search(/[[{]/);
    at = next === -1 ? -1 : (value === undefined ? at + 1 : end) + next;
  }
  return values;
}

function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '"') at = text.slice(at + 1).search(/(?<!\\)"/) + at + 1;
    if (text[at] === '{' || text[at] === '[') depth += 1;
    if ((text[at] === '}' || text[at] === ']') && --depth === 0) return at + 1;
  }
  return -1;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function callsIn(value: unknown): Reading[] {
  if (Array.isArray(value)) return value.flatMap(callsIn);
  if (typeof value !== 'object' || value === null) return [];
  const { method, params, id } = lowered(value);
  if (method === undefined) return Object.values(value).flatMap(callsIn);
  const given = lowered(Array.isArray(params) ? Object.assign({}, ...params.map(named)) : (params ?? {}));
  const ref = lowered(given.ref ?? {});
  return [{ method: plain(method), name: nameIn(given.name ?? given.uri ?? ref.name ?? ref.uri ?? ''), id }];
}

const nameIn = (name: unknown) => (typeof name === 'string' ? name : plain(name));

const named = (value: unknown) => (typeof value === 'object' ? value : { name: value });

function lowered(value: unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value ?? {}).map(([name, each]) => [plain(name), each]));
}

/** Whatever is called `method` or `name` anywhere, the first and the last alike. */
function looselyIn(text: string): Reading[] {
  const members = [...text.matchAll(/("(?:[^"\\]|\\.)*")\s*:\s*("(?:[^"\\]|\\.)*")/g)].map(
    ([, name, value]) => [plain(parsed(name as string)), String(parsed(value as string))],
  );
  const valuesOf = (wanted: string) =>
    members.flatMap(([name, value]) => (name === wanted ? [value as string] : []));
  return valuesOf('method').flatMap((method) =>
    valuesOf('name').map((name) => ({ method: plain(method), name, id: null })),
  );
}

function inHeaders(headers: IncomingHttpHeaders): Reading[] {
  const { 'mcp-method': method, 'mcp-name': name } = headers;
  if (typeof method !== 'string' || typeof name !== 'string') return [];
  const packed = /^=\?base64\?(.*)\?=$/i.exec(name)?.[1];
  return [
    { method: plain(method), name: packed ? Buffer.from(packed, 'base64').toString() : name, id: null },
  ];
}
