import { type Fault, sendFault } from './fault.ts';
import type { RecordedRequest } from './recorded-request.ts';

/**
 * The server handles the request as ever; of the JSON it answers a changed copy is sent. An answer that is no JSON
 * object is replaced by `{}`, changed.
 */
export function changeAnswer(
  request: RecordedRequest,
  change: (body: Record<string, unknown>) => Record<string, unknown>,
): Fault {
  return {
    async instead(response, decide) {
      await decide();
      const body = change((request.answer ?? {}) as Record<string, unknown>);
      sendFault(response, { status: request.status, body });
    },
  };
}
