import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ObjectSchema } from '../../src/http/openapi/schema.ts';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';
import { faultsAt, OPERATIONS, pointer } from '../support/openapi.ts';

let test: TestDaemon;
let headers: Record<string, string>;

shareDaemon((daemon) => {
  test = daemon;
});

const withJson = OPERATIONS.flatMap((each) => {
  const schema = each.operation.requestBody?.content['application/json']?.schema;
  return schema && 'properties' in schema ? [{ ...each, schema: schema as ObjectSchema }] : [];
});

/** Values at the edges of the schemas, and beside them. */
const odd = fc.oneof(
  fc.integer({ min: -2, max: 40_000_000 }),
  fc.double(),
  fc.constantFrom(null, '', '5', ' ', 'true', 'x'.repeat(2049), [], [5], {}, true, 31_536_000, 31_536_001),
);

const FITTING: Record<string, fc.Arbitrary<unknown>> = {
  integer: fc.nat({ max: 100_000 }),
  boolean: fc.boolean(),
  // Nobody has a server of that name, so that a good body comes to nothing.
  string: fc.constantFrom('nothing', '5'),
};

/** Most fields fit; now and then one that is needed is missing, or one is there that nobody knows. */
function bodiesOf({ properties = {}, required = [] }: ObjectSchema): fc.Arbitrary<object> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const fitting = FITTING['type' in schema ? String(schema.type) : ''] ?? fc.constant(null);
    fields[name] = fc.oneof({ weight: 2, arbitrary: fitting }, odd);
  }
  return fc.oneof(
    { weight: 4, arbitrary: fc.record(fields, { requiredKeys: [...required] }) },
    fc.record({ ...fields, redirect_uri: odd }, { requiredKeys: [] }),
  );
}

describe('any body', () => {
  it.each(withJson)(
    'is refused for its form exactly when the schema does not take it: $title',
    async (each) => {
      headers ??= {
        authorization: `Bearer ${await test.addAgent({ name: 'host', allow: ['*', '*@*'], admin: true })}`,
      };
      const { method, path, schema } = each;
      const place = [
        'paths',
        path,
        method.toLowerCase(),
        'requestBody',
        'content',
        'application/json',
        'schema',
      ];
      // Nobody has it, so that a good body comes to nothing.
      const target = path.replace('{name}', 'nothing');
      const seen = { taken: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(bodiesOf(schema), async (drawn) => {
          const body = JSON.parse(JSON.stringify(drawn)) as object;
          const fits = faultsAt(pointer(place), body).length === 0;
          const { json } = await test.call(target, { method, headers, body });
          const isRefusedForForm = json.next_step === 'docs/api.md lists the fields of this route';
          expect({ body, isRefusedForForm }).toEqual({ body, isRefusedForForm: !fits });
          if (isRefusedForForm) expect(json.code).toBe('bad_request');
          seen[fits ? 'taken' : 'refused'] += 1;
        }),
        { numRuns: 80, seed: 7 },
      );
      expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(3);
    },
  );
});
