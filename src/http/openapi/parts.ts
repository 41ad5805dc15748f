/** The parts of an OpenAPI 3.1 document that routes are described with. */
import type { AnySchema, ObjectSchema } from './schema.ts';

/** A part of the path, the query or the headers that means something. */
export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  description: string;
  schema: AnySchema;
}

/** A header of an answer. */
export interface Header {
  description: string;
  required: boolean;
  schema: AnySchema;
}

interface Ref {
  $ref: string;
}

/** One answer. Without `content` it has no body. */
export interface Response {
  description: string;
  headers: Readonly<Record<string, Header | Ref>>;
  content?: Readonly<Record<string, { schema: AnySchema }>>;
}

/** A body as it may be sent. */
export interface RequestBody {
  description: string;
  required: boolean;
  content: Readonly<Record<string, { schema: AnySchema }>>;
}

/** Names of `components.securitySchemes`, each with its scopes (none). */
export type Security = readonly Readonly<Record<string, readonly string[]>>[];

/** What one method does at one path. */
export interface Operation {
  operationId: string;
  tags: readonly string[];
  summary: string;
  description: string;
  security: Security;
  parameters?: readonly Parameter[];
  requestBody?: RequestBody;
  /** By status, or `default`. */
  responses: Readonly<Record<string, Response>>;
}

/** Methods that routes have. */
export type Method = 'get' | 'post' | 'delete';

/** The operations below one path. */
export type PathItem = Partial<Record<Method, Operation>>;

/** By path. */
export type Paths = Readonly<Record<string, PathItem>>;

/** `Authorization: Bearer <agent key>`. */
export const WITH_AGENT_KEY: Security = [{ agentKey: [] }];
/** No key is wanted. */
export const FOR_ANYBODY: Security = [];

/** Of every answer. */
export const SAFE_HEADERS = {
  'Cache-Control': { $ref: '#/components/headers/NoStore' },
} as const;

/** An answer with a JSON body. */
export function json(description: string, schema: AnySchema, headers: Response['headers'] = {}): Response {
  return {
    description,
    headers: { ...SAFE_HEADERS, ...headers },
    content: { 'application/json': { schema } },
  };
}

/** An answer in plain text or HTML. */
export function words(description: string, type: 'text/plain' | 'text/html', schema: AnySchema): Response {
  return { description, headers: SAFE_HEADERS, content: { [type]: { schema } } };
}

/** A body of JSON. */
export function jsonBody(schema: ObjectSchema, { required }: { required: boolean }): RequestBody {
  return { description: schema.description, required, content: { 'application/json': { schema } } };
}
