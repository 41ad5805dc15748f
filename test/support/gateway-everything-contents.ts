/** What the server scenarios of the conformance suite ask for, for both official SDKs; the texts are the suite's. */

/** A picture of one pixel, and a sound of no length. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

export const image = { type: 'image' as const, data: PNG, mimeType: 'image/png' };
const audio = { type: 'audio' as const, data: WAV, mimeType: 'audio/wav' };
export const text = (said: string) => ({ type: 'text' as const, text: said });
export const resource = (uri: string, mimeType: string, said: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: said },
});

type Content = typeof image | typeof audio | ReturnType<typeof text> | ReturnType<typeof resource>;

export const answer = (...content: Content[]) => ({ content });
export const user = (content: Content) => ({ role: 'user' as const, content });

/** Tools without arguments, and what each answers. */
export const ANSWERS: Record<string, Content[]> = {
  test_simple_text: [text('This is a simple text response for testing.')],
  test_image_content: [image],
  test_audio_content: [audio],
  test_embedded_resource: [
    resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  ],
  test_multiple_content_types: [
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  ],
};

/** Text of the error of `test_error_handling`. */
export const TOOL_ERROR = 'This tool intentionally returns an error for testing';

/** Resources by name, each at `test://` and that name. */
export const RESOURCES: Record<string, { mimeType: string; content: { text: string } | { blob: string } }> = {
  'static-text': {
    mimeType: 'text/plain',
    content: { text: 'This is the content of the static text resource.' },
  },
  'static-binary': { mimeType: 'image/png', content: { blob: PNG } },
  'watched-resource': { mimeType: 'text/plain', content: { text: 'watched' } },
};

export const TEMPLATE = 'test://template/{id}/data';

/** What is read at a URI of the template. */
export function readTemplate(uri: URL, id: unknown) {
  const said = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { contents: [{ uri: uri.href, mimeType: 'application/json', text: said }] };
}

/** What `arg1` of the prompt with arguments is completed to. */
export function completeArg1(typed: string): string[] {
  return ['paris', 'park'].filter((each) => each.startsWith(typed));
}

/** Messages of the prompts, by the suite's names for them. */
export const PROMPTS = {
  test_simple_prompt: () => ({ messages: [user(text('This is a simple prompt for testing.'))] }),
  test_prompt_with_image: () => ({ messages: [user(image), user(text('Please analyze the image above.'))] }),
  test_prompt_with_arguments: ({ arg1, arg2 }: { arg1: string; arg2: string }) => ({
    messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  }),
  test_prompt_with_embedded_resource: ({ resourceUri }: { resourceUri: string }) => ({
    messages: [
      user(resource(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      user(text('Please process the embedded resource above.')),
    ],
  }),
};

/** The input of a tool that uses what JSON Schema 2020-12 has and older ones have not. */
export const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object' as const,
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};
