/**
 * JSON Schemas of answers, written beside the types of the views they describe.
 *
 * `objectOf<View>` wants a schema for each property, of its type, and says whether the property may be left out as the
 * type does. So whoever adds a property to a view, or takes one away, is told by the compiler.
 */
import { z } from 'zod';

/** What every schema has: words, and perhaps values that show what is meant. */
interface Described {
  description: string;
  examples?: readonly unknown[];
}

/** Text, perhaps one of a few words. */
export interface StringSchema extends Described {
  type: 'string';
  format?: 'date-time' | 'uri';
  pattern?: string;
  minLength?: number;
  enum?: readonly string[];
  const?: string;
}

interface NumberSchema extends Described {
  type: 'integer' | 'number';
  minimum?: number;
  enum?: readonly number[];
  const?: number;
}

interface BooleanSchema extends Described {
  type: 'boolean';
}

interface ListSchema extends Described {
  type: 'array';
  items: AnySchema;
  minItems?: number;
}

/** An object of ours, or of any names with values of one schema. */
export interface ObjectSchema extends Described {
  type: 'object';
  properties?: Readonly<Record<string, AnySchema>>;
  required?: readonly string[];
  additionalProperties: boolean | AnySchema;
}

/** A schema kept in `components`, perhaps narrowed. */
export interface SchemaRef {
  $ref: `#/components/schemas/${string}`;
  type?: 'object';
  description?: string;
  properties?: Readonly<Record<string, AnySchema>>;
}

/** The part of JSON Schema 2020-12 that is used here. */
export type AnySchema =
  | StringSchema
  | NumberSchema
  | BooleanSchema
  | ListSchema
  | ObjectSchema
  | SchemaRef
  | UnionSchema
  | AnyValue;

/** One of several, or (`anyOf`) at least one. */
interface UnionSchema {
  description: string;
  oneOf?: readonly AnySchema[];
  anyOf?: readonly AnySchema[];
}

/** Whatever has one of these types; without them anything. */
interface AnyValue extends Described {
  type?: readonly ('string' | 'number' | 'null')[];
}

/** The schemas that values of a type can have. */
type SchemaOf<T> = [T] extends [string]
  ? StringSchema
  : [T] extends [number]
    ? NumberSchema
    : [T] extends [boolean]
      ? BooleanSchema
      : [T] extends [readonly unknown[]]
        ? ListSchema
        : [T] extends [object]
          ? ObjectSchema | SchemaRef
          : AnySchema;

/** The schema of a property that is left out where nothing is to be said. */
export interface Optional<S> {
  whenKnown: S;
}

/** A schema for each property, marked as `whenKnown` where the property may be missing. */
export type PropertiesOf<View> = {
  // biome-ignore lint/complexity/noBannedTypes: the empty object tells whether a property may be missing
  [K in keyof View]-?: {} extends Pick<View, K>
    ? Optional<SchemaOf<Exclude<View[K], undefined>>>
    : SchemaOf<View[K]>;
};

/** The schema of a view: exactly these properties. */
export function objectOf<View>(description: string, properties: PropertiesOf<View>): ObjectSchema {
  const entries = Object.entries(properties as Record<string, AnySchema | Optional<AnySchema>>);
  return {
    type: 'object',
    description,
    properties: Object.fromEntries(
      entries.map(([name, each]) => [name, 'whenKnown' in each ? each.whenKnown : each]),
    ),
    required: entries.filter(([, each]) => !('whenKnown' in each)).map(([name]) => name),
    additionalProperties: false,
  };
}

/** One of several words, each with its meaning: a word more or less in the type does not compile. */
export function oneOf<Word extends string>(
  description: string,
  words: Readonly<Record<Word, string>>,
): StringSchema {
  return { type: 'string', description: withMeanings(description, words), enum: Object.keys(words) };
}

/** The same of several numbers. */
export function oneNumberOf<Code extends number>(
  description: string,
  numbers: Readonly<Record<Code, string>>,
): NumberSchema {
  const known = Object.keys(numbers).map(Number);
  return { type: 'integer', description: withMeanings(description, numbers), enum: known };
}

function withMeanings(description: string, meanings: Readonly<Record<string, string>>): string {
  const each = Object.entries(meanings).map(([value, meaning]) => `\`${value}\`: ${meaning}`);
  return `${description} ${each.join('. ')}.`;
}

/** Text of any form. */
export function text(description: string, ...examples: string[]): StringSchema {
  return { type: 'string', description, ...shown(examples) };
}

/** An absolute URI (RFC 3986). */
export function uri(description: string, ...examples: string[]): StringSchema {
  return { type: 'string', format: 'uri', description, ...shown(examples) };
}

/** An instant, RFC 3339 in UTC, whole seconds. */
export function instant(description: string): StringSchema {
  return {
    type: 'string',
    format: 'date-time',
    pattern: 'Z$',
    description: `${description} RFC 3339, UTC, whole seconds.`,
    examples: ['2026-11-21T10:00:00Z'],
  };
}

/** A whole number, 0 or more. */
export function whole(description: string, ...examples: number[]): NumberSchema {
  return { type: 'integer', minimum: 0, description, ...shown(examples) };
}

/** True or false. */
export function yesOrNo(description: string): BooleanSchema {
  return { type: 'boolean', description };
}

/** A property that may be missing. */
export function maybe<S>(whenKnown: S): Optional<S> {
  return { whenKnown };
}

function shown<T>(examples: readonly T[]): { examples?: readonly T[] } {
  return examples.length > 0 ? { examples } : {};
}

/** What a field of a request means, and values for it. */
export interface Words {
  description: string;
  examples?: readonly unknown[];
}

/** The schema that requests are parsed with, as JSON Schema with words. */
export function requestSchema<S extends z.ZodObject>(
  schema: S,
  description: string,
  words: Readonly<Record<keyof z.infer<S>, Words>>,
): ObjectSchema {
  const { properties = {}, required } = z.toJSONSchema(schema);
  // What is read is always known; what is sent need not be.
  const { additionalProperties = true } = z.toJSONSchema(schema, { io: 'input' });
  const named = Object.entries(properties).map(([name, each]) => [
    name,
    { ...(each as object), ...words[name as keyof typeof words] },
  ]);
  return {
    ...{ type: 'object', description, properties: Object.fromEntries(named) },
    ...(required === undefined ? {} : { required }),
    additionalProperties: additionalProperties !== false,
  };
}
