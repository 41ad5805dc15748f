/** The documented command lines that the test of the documents does not run, why, and what is checked instead. */

export interface NotRun {
  /** The command to the letter, or what such commands look like. */
  line: string | RegExp;
  /** Only in this document. Default: wherever it stands. */
  page?: string;
  /** Why it is not run. */
  reason: string;
  /**
   * `parsed`: its `broker` names a command and options that exist, and a shell can read it; `script`: the npm script
   * is there, and the file it runs; `test`: this file runs it.
   */
  instead: 'parsed' | 'script' | { test: string };
}

/** A line of a page that another test takes from the page and runs. */
const README = { page: 'README.md', instead: { test: 'test/journeys/readme.test.ts' } };

/** Parsed: what it needs a test must not touch. `test/deploy/` checks the files it installs, and runs what can be run. */
const INSTALL = { page: 'docs/install.md', instead: 'parsed' as const };

export const NOT_RUN: NotRun[] = [
  { ...README, line: /^npm ci && npm (?:run demo|test)$/, reason: 'takes minutes; read and run there' },
  { ...README, line: /^(?:export BROKER_AGENT_KEY=.*)?npx broker /, reason: 'read and run there with npx' },
  { ...README, line: /^curl .*coda\/token$/, reason: 'read and run there, behind the lines before it' },
  {
    ...README,
    line: /^npm run (?:build|lint|types)$/,
    reason: 'npm test runs it first, which is checked there',
  },
  {
    page: 'docs/credentials.md',
    line: /^broker (?:login|add) (?!.*(?:--command|--transport))\S+ .*|^broker login https:\S+$/,
    reason: 'read and run there, each in a world of its own',
    instead: { test: 'test/journeys/credentials-page.test.ts' },
  },
  { line: /^broker client-metadata$/, reason: 'names the command, which wants a URL', instead: 'parsed' },
  {
    line: /^broker config (?:httpx|mcp-python)$/,
    reason: 'names what there is; which connection is said elsewhere',
    instead: 'parsed',
  },
  {
    line: /^npx conformance client /,
    reason: 'runs the whole suite of the specification with others',
    instead: { test: 'test/conformance/conformance.test.ts' },
  },
  {
    line: /^broker restore broker-\d{8}T\d{6}Z\.backup\b/,
    reason: 'wants the backup of that day',
    instead: { test: 'test/journeys/backup.test.ts' },
  },
  {
    line: /^broker audit --follow\b/,
    reason: 'goes on until Ctrl-C',
    instead: { test: 'test/journeys/audit.test.ts' },
  },
  {
    line: /^broker audit verify --(?:expect|at-least) /,
    reason: 'compares with the note of another vault',
    instead: { test: 'test/journeys/audit.test.ts' },
  },
  {
    page: 'docs/operating.md',
    line: /^broker notify test /,
    reason: 'wants a mailer or a receiver; read and run there',
    instead: { test: 'test/journeys/notify.test.ts' },
  },
  { line: /^npm run (?:conformance|reliability|bench|docs)\b/, reason: 'takes minutes', instead: 'script' },
  { ...INSTALL, line: /^npm (?:ci|install|uninstall)\b/, reason: 'changes the machine' },
  { ...INSTALL, line: 'man broker', reason: 'needs the global install' },
  { ...INSTALL, line: /^(?:sudo|cd "\$\(npm root -g\))/, reason: 'needs root, and systemd or cron' },
  { ...INSTALL, line: /^curl --unix-socket /, reason: 'needs the unit of systemd' },
  {
    ...INSTALL,
    line: /^(?:docker|cd deploy\/docker|node -p|openssl|chmod)\b/,
    reason: 'needs a container engine',
  },
  { ...INSTALL, line: /^kubectl /, reason: 'needs a cluster' },
];

/** The entry for a line of a document, if there is one. */
export function notRun(page: string, command: string): NotRun | undefined {
  return NOT_RUN.find(
    (entry) =>
      (entry.page ?? page) === page &&
      (typeof entry.line === 'string' ? entry.line === command : entry.line.test(command)),
  );
}

/** Commands named in sentences that say so when they end with another exit code than 0. */
export const EXIT_CODES: Record<string, number> = {
  // Nobody pasted an answer, and the login stays open.
  'broker login coda --paste </dev/null': 75,
  // Wants --older-than.
  'broker audit prune': 64,
  // Nothing is set up.
  'broker notify test': 64,
};
