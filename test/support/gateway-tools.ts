/** What the MCP servers behind the gateway can do, written once for both official SDKs. */

/** How a tool talks to the one who called it, in whatever way the revision has. */
export interface ToolContext {
  signal: AbortSignal;
  /** Undefined: the caller wants no progress. */
  progress: ((done: number, total: number) => Promise<void>) | undefined;
  log(text: string): Promise<void>;
  /** What the caller's model says. Undefined: the question is on its way (2026-07-28), and `answer` is sent. */
  sample(): Promise<string | undefined>;
  /** What the caller's person says. Undefined: as of `sample`. */
  ask(): Promise<string | undefined>;
}

/** What happened in the tools, for tests that wait for it. */
export interface ToolEvents {
  /** Documents that were deleted. */
  deleted: string[];
  /** Resolves when a call of `wait_long` has begun. */
  waiting: Promise<void>;
  /** Resolves when a call of `wait_long` was cancelled. */
  cancelled: Promise<void>;
  /** Lets `slow` go on after its first step. */
  goOn(): void;
}

export interface Tools {
  events: ToolEvents;
  /** The text a tool answers; undefined: see `ToolContext.sample`. Throws for a name there is none of. */
  call(name: string, args: Record<string, unknown>, context: ToolContext): Promise<string | undefined>;
}

const ANY_TEXT = {
  type: 'object' as const,
  properties: { id: { type: 'string' }, bytes: { type: 'number' } },
};

/** As `tools/list` tells of them. */
export const TOOL_LIST = [
  ['read_doc', 'Answers what is in a document.'],
  ['search', 'Answers where a text is found.'],
  ['delete_document', 'Deletes a document.'],
  ['slow', 'Answers in three steps.'],
  ['wait_long', 'Answers never.'],
  ['sample', 'Asks the model of the caller.'],
  ['ask', 'Asks the person behind the caller.'],
  ['big', 'Answers so many bytes.'],
  ['log', 'Tells the log of the caller.'],
].map(([name = '', description = '']) => ({ name, description, inputSchema: ANY_TEXT }));

export function createTools(): Tools {
  const waiting = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const going = Promise.withResolvers<void>();
  const events: ToolEvents = {
    deleted: [],
    waiting: waiting.promise,
    cancelled: cancelled.promise,
    goOn: going.resolve,
  };
  return {
    events,
    async call(name, { id, bytes }, context) {
      switch (name) {
        case 'read_doc':
          return `contents of ${id}`;
        case 'search':
          return 'found nothing';
        case 'delete_document':
          events.deleted.push(String(id));
          return 'deleted';
        case 'slow':
          await context.progress?.(1, 3);
          await going.promise;
          await context.progress?.(2, 3);
          await context.progress?.(3, 3);
          return 'done';
        case 'wait_long':
          return new Promise((_resolve, reject) => {
            context.signal.addEventListener('abort', () => {
              cancelled.resolve();
              reject(new Error('cancelled'));
            });
            waiting.resolve();
          });
        case 'sample':
          return context.sample();
        case 'ask':
          return context.ask();
        case 'big':
          return 'x'.repeat(Number(bytes));
        case 'log':
          await context.log('a line of the log');
          return 'logged';
        default:
          throw new Error(`no tool ${name}`);
      }
    },
  };
}
