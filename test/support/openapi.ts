/** Holds answers of the daemon against `/openapi.json`. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { createDocument } from '../../src/http/openapi/document.ts';
import type { Operation, Response } from '../../src/http/openapi/parts.ts';
import type { CallAnswer } from './http-call.ts';

export const DOCUMENT = createDocument('http://127.0.0.1:8787');

export interface DescribedOperation {
  /** Such as `GET /v1/connections/{name}`. */
  title: string;
  method: string;
  path: string;
  operation: Operation;
}

/** A name of us that the daemon does not know. */
export const FOREIGN_HOST = 'evil.example.com';

/** All operations of the document. */
export const OPERATIONS: DescribedOperation[] = Object.entries(DOCUMENT.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    title: `${method.toUpperCase()} ${path}`,
    ...{ method: method.toUpperCase(), path, operation },
  })),
);

const ajv = new Ajv2020({ strict: true, allErrors: true, strictRequired: false, allowUnionTypes: true });
// biome-ignore lint/suspicious/noExplicitAny: the package is CommonJS, and its types say otherwise
(formats as any)(ajv);
// Schemas refer to what lies there.
ajv.addVocabulary(['components']);

const compiled = new Map<string, ValidateFunction>();

function validatorAt(place: string): ValidateFunction {
  const known = compiled.get(place);
  if (known) return known;
  const schema = place
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((value: unknown, part) => (value as Record<string, unknown> | undefined)?.[part], DOCUMENT);
  if (schema === undefined) throw new Error(`the document has no ${place}`);
  const validate = ajv.compile({ ...schema, components: DOCUMENT.components });
  compiled.set(place, validate);
  return validate;
}

/** What is wrong with a value by the schema at this place of the document (a JSON pointer). Empty: nothing. */
export function faultsAt(pointer: string, value: unknown): string[] {
  const validate = validatorAt(pointer);
  return validate(value) ? [] : faultsOf(validate.errors);
}

function faultsOf(errors: ErrorObject[] | null | undefined): string[] {
  return (errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath || 'the body'} ${message} ${JSON.stringify(params)}`,
  );
}

/** The operation that answers this request. Undefined: none. */
export function operationFor(method: string, path: string): DescribedOperation | undefined {
  const [place = ''] = path.split('?');
  return OPERATIONS.find(
    (each) =>
      each.method === method && new RegExp(`^${each.path.replace(/\{\w+\}/g, '[^/]+')}/?$`).test(place),
  );
}

/**
 * Throws unless the document has this answer: its status, type, headers and body. What is no operation of the document
 * must be refused.
 *
 * @param path with or without a query
 */
export function expectDescribed(method: string, path: string, answer: CallAnswer): void {
  const faults = faultsIn(method, path, answer);
  if (faults.length === 0) return;
  const { status, headers, text } = answer;
  throw new Error(
    `${method} ${path} is not answered as /openapi.json has it:\n  ${faults.join('\n  ')}\nthe answer: ${status} ${JSON.stringify(headers)}\n${text}`,
  );
}

/** What of an answer the document does not have. Empty: it is as described. */
export function faultsIn(method: string, path: string, answer: CallAnswer): string[] {
  // A look ahead, or a question for methods, which express answers by itself.
  if (['HEAD', 'OPTIONS'].includes(method)) return [];
  const described =
    operationFor(method, path) ?? (answer.status < 400 ? operationFor(method, usualPlace(path)) : undefined);
  if (!described)
    return answer.status >= 400 ? [] : [`no operation is there, and the status is ${answer.status}`];
  const { responses } = described.operation;
  const status = String(answer.status) in responses ? String(answer.status) : 'default';
  const response = responses[status];
  if (!response) return [`the status ${answer.status} is not described`];
  const place = ['paths', described.path, method.toLowerCase(), 'responses', status];
  return [...headerFaults(response, answer, place), ...bodyFaults(response, answer, place)];
}

/** RFC 8414 §3.1 puts the metadata of a public URL with a path also elsewhere. */
function usualPlace(path: string): string {
  return path.replace(/^(\/\.well-known\/oauth-authorization-server\/).+(?=oauth$)/, '$1');
}

/** Headers that mean something to clients, and must be described where they come. */
const TELLING = ['retry-after', 'www-authenticate', 'location', 'mcp-session-id', 'pragma'];

function headerFaults(response: Response, { headers }: CallAnswer, place: string[]): string[] {
  const described = Object.entries(response.headers);
  const names = new Set(described.map(([name]) => name.toLowerCase()));
  const unknown = TELLING.filter((name) => name in headers && !names.has(name));
  return [
    ...unknown.map((name) => `the header ${name} is not described`),
    ...described.flatMap(([name, header]) => {
      const at = '$ref' in header ? header.$ref.slice(1) : pointer([...place, 'headers', name]);
      const { required } = '$ref' in header ? headerNamed(header.$ref) : header;
      const value = headers[name.toLowerCase()];
      if (value === undefined) return required ? [`the header ${name} is missing`] : [];
      return faultsAt(`${at}/schema`, value).map((fault) => `the header ${name}: ${fault}`);
    }),
  ];
}

function headerNamed(ref: string) {
  const header = DOCUMENT.components.headers[ref.split('/').at(-1) as string];
  if (!header) throw new Error(`the document has no ${ref}`);
  return header;
}

function bodyFaults(response: Response, answer: CallAnswer, place: string[]): string[] {
  const { content = {} } = response;
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] as string;
  if (answer.text === '' && (response.content === undefined || '*/*' in content)) return [];
  const key = type in content ? type : '*/*' in content ? '*/*' : undefined;
  if (key === undefined) return [`the type ${JSON.stringify(type)} is not described`];
  const value = /json$/.test(type) ? answer.json : answer.text;
  return faultsAt(pointer([...place, 'content', key, 'schema']), value);
}

/** A JSON pointer (RFC 6901). */
export function pointer(parts: readonly string[]): string {
  return parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
