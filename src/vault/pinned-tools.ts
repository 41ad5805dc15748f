/** Tools of a server as an operator accepted them, in full: the digests alone could not tell what has changed. */
import { query, type Steps } from './database.ts';

export interface PinnedTool {
  name: string;
  /** Of the definition; the tool policy has it too. */
  digest: string;
  /** As the server gave it. */
  definition: Readonly<Record<string, unknown>>;
  /** Epoch ms. */
  acceptedAt: number;
}

interface PinnedRow {
  name: string;
  digest: string;
  /** JSON. */
  definition: string;
  accepted_at: number;
}

/** The accepted tools of a server, by name. None: nothing is pinned, or nothing was there to accept. */
export function* listPinnedTools(server: string): Steps<PinnedTool[]> {
  const rows = yield* query<PinnedRow>(
    'SELECT name, digest, definition, accepted_at FROM pinned_tools WHERE server = ? ORDER BY name',
    server,
  );
  return rows.map(({ accepted_at, definition, ...row }) => ({
    ...row,
    definition: JSON.parse(definition) as PinnedTool['definition'],
    acceptedAt: accepted_at,
  }));
}

/** Puts these in the place of all accepted tools of the server. One that is as before keeps its date. */
export function* savePinnedTools(
  server: string,
  tools: readonly Omit<PinnedTool, 'acceptedAt'>[],
  now: number,
): Steps<void> {
  const before = new Map((yield* listPinnedTools(server)).map((tool) => [tool.name, tool]));
  yield* query('DELETE FROM pinned_tools WHERE server = ?', server);
  for (const { name, digest, definition } of tools) {
    const known = before.get(name);
    const acceptedAt = known?.digest === digest ? known.acceptedAt : now;
    yield* query(
      'INSERT INTO pinned_tools (server, name, digest, definition, accepted_at) VALUES (?, ?, ?, ?, ?)',
      ...[server, name, digest, JSON.stringify(definition), acceptedAt],
    );
  }
}
