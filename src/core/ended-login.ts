/**
 * Servers that tell of an ended login in a tool's result, where HTTP says 200 (Doist/todoist-mcp#366). No client would
 * renew anything then, so the texts by which such a server says it are kept with its settings.
 */

/** Whether the message is a failure that holds one of the texts. */
export function saysLoginEnded(message: unknown, texts: readonly string[]): boolean {
  if (texts.length === 0 || !isObject(message)) return false;
  const said = failureTexts(message);
  return texts.some((text) => said.some((each) => each.includes(text)));
}

/** What a JSON-RPC error says, or a result that is marked as one (`isError`). */
function failureTexts({ error, result }: Record<string, unknown>): string[] {
  if (isObject(error)) return typeof error.message === 'string' ? [error.message] : [];
  if (!isObject(result) || result.isError !== true || !Array.isArray(result.content)) return [];
  return result.content.flatMap((part) =>
    isObject(part) && typeof part.text === 'string' ? [part.text] : [],
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
