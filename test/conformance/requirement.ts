/** One thing a client of MCP servers must get right, and the tests that prove what the broker does about it. */
export interface Requirement {
  /** `1` to `46`: the specification. `Q1` to `Q70`: seen in the wild. `C-a` to `C-h`: the server of Coda. */
  id: string;
  text: string;
  /** How strongly it is demanded, and the first revision of MCP that does. */
  demand?: string;
  /** Issues that tell of it. */
  seenAt?: string;
  /** Each as `path > title`: the path within `test/` and without `.test.ts`, the title whole or its end. */
  tests?: readonly string[];
  /** Scenarios of the conformance suite that judge the same. */
  scenarios?: readonly string[];
  /** Why there is no test. */
  reason?: string;
}

/** A test, found. */
export interface NamedTest {
  /** From the root of the repository. */
  file: string;
  name: string;
}

/** Takes `path > title` apart. */
export function namedTest(text: string): NamedTest {
  const [path = '', ...titles] = text.split(' > ');
  return { file: `test/${path}.test.ts`, name: titles.join(' > ') };
}
