/** Tools and a prompt that ask back in 2026-07-28: with a result that says what is missing, to be called again with it. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  type InputRequests,
  inputRequired,
  inputResponse,
  type McpServer,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { answer, text, user } from './gateway-everything-contents.ts';

/** Seals what a tool remembers from one round to the next, as its caller carries it. */
export type States = RequestStateCodec<{ round: number }>;

/** The key is 32 bytes. */
export function createStates(key: Uint8Array): States {
  return createRequestStateCodec({ key });
}

type Field = { type: 'string' } | { type: 'boolean' };

const elicit = (message: string, field: string, schema: Field = { type: 'string' }) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [field]: schema }, required: [field] },
  });
const sample = (said: string) =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: text(said) }],
    maxTokens: 100,
  });

const NAME = elicit('What is your name?', 'name');
const CONFIRM = { confirm: elicit('Please confirm', 'ok', { type: 'boolean' }) };

/** Tools of one question round by what they ask, without a state. */
const QUESTIONS: Record<string, InputRequests> = {
  test_input_required_result_elicitation: { user_name: NAME },
  test_input_required_result_sampling: { capital_question: sample('What is the capital of France?') },
  test_input_required_result_list_roots: { client_roots: inputRequired.listRoots() },
  test_streaming_elicitation: { user_name: NAME },
  test_missing_capability: { greeting: sample('Generate a greeting') },
};

/** Tools by what they ask in each round, with a state. */
const ROUNDS: Record<string, InputRequests[]> = {
  test_input_required_result_request_state: [CONFIRM],
  test_input_required_result_tampered_state: [CONFIRM],
  test_input_required_result_multiple_inputs: [
    { user_name: NAME, greeting: sample('Generate a greeting'), client_roots: inputRequired.listRoots() },
  ],
  test_input_required_result_multi_round: [
    { step1: elicit('Step 1: What is your name?', 'name') },
    { step2: elicit('Step 2: What is your favorite color?', 'color') },
  ],
};

/** Adds them all. */
export function addQuestions(server: McpServer, states: States): void {
  for (const [name, inputRequests] of Object.entries(QUESTIONS))
    server.registerTool(name, { description: 'asks' }, (context) =>
      hasAll(context, inputRequests) ? answer(text('done')) : inputRequired({ inputRequests }),
    );
  for (const [name, rounds] of Object.entries(ROUNDS))
    server.registerTool(name, { description: 'asks, and remembers' }, async (context) => {
      const at = context.mcpReq.requestState<{ round: number }>()?.round ?? 0;
      const round = hasAll(context, rounds[at] ?? {}) ? at + 1 : at;
      const inputRequests = rounds[round];
      if (inputRequests === undefined) return answer(text('state-ok'));
      return inputRequired({ inputRequests, requestState: await states.mint({ round }, context) });
    });
  server.registerTool(
    'test_input_required_result_capabilities',
    { description: 'asks who it can' },
    (context) => inputRequired({ inputRequests: possibleFor(context) }),
  );
  const inputRequests = { user_context: elicit('What context should the prompt use?', 'context') };
  server.registerPrompt('test_input_required_result_prompt', { description: 'asks' }, (context) =>
    hasAll(context, inputRequests) ? { messages: [user(text('done'))] } : inputRequired({ inputRequests }),
  );
}

function hasAll({ mcpReq }: ServerContext, inputRequests: InputRequests): boolean {
  return Object.keys(inputRequests).every(
    (key) => inputResponse(mcpReq.inputResponses, key).kind !== 'missing',
  );
}

function possibleFor({ mcpReq }: ServerContext): InputRequests {
  const envelope = mcpReq.envelope as { [CLIENT_CAPABILITIES_META_KEY]?: ClientCapabilities } | undefined;
  const capabilities = envelope?.[CLIENT_CAPABILITIES_META_KEY];
  return {
    ...(capabilities?.elicitation ? { user_name: NAME } : {}),
    ...(capabilities?.sampling ? { greeting: sample('Generate a greeting') } : {}),
  };
}
