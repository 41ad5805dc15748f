/** What has changed in a tool's definition, field by field. */

/** One member of a definition, such as `description` or `inputSchema.properties.path.type`. */
export interface FieldChange {
  /** Where it is, members joined by dots. */
  field: string;
  /** Text as it is, other values as JSON. Absent: it was not there. */
  before?: string;
  /** The same, now. */
  after?: string;
}

/** Deeper parts are compared as one value. */
const DEEPEST = 12;

/** The fields in which two definitions differ, in the order of the new one. `_meta` is no part of what a tool is. */
export function changedFields(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): FieldChange[] {
  const [old, now] = [fieldsOf(before), fieldsOf(after)];
  const fields = [...new Set([...now.keys(), ...old.keys()])];
  return fields.flatMap((field) => {
    const [was, is] = [old.get(field), now.get(field)];
    if (was === is) return [];
    const before = was === undefined ? {} : { before: shown(was) };
    return [{ field, ...before, ...(is === undefined ? {} : { after: shown(is) }) }];
  });
}

function shown(json: string): string {
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

/** Each end of the tree, as JSON, with its path. */
function fieldsOf({ _meta, ...definition }: Readonly<Record<string, unknown>>): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [name, member] of Object.entries(definition)) collect(member, name, 1, fields);
  return fields;
}

function collect(value: unknown, path: string, depth: number, fields: Map<string, string>): void {
  const members = typeof value === 'object' && value !== null && depth < DEEPEST ? Object.entries(value) : [];
  if (members.length === 0) {
    fields.set(path, JSON.stringify(value) ?? 'null');
    return;
  }
  for (const [name, member] of members) collect(member, `${path}.${name}`, depth + 1, fields);
}
