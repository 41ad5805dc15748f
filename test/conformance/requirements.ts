/**
 * The map from what a client of MCP servers must get right to the tests that prove it: the specification in all its
 * revisions, what was seen in the wild, and what follows for the server of Coda.
 */
import { namedTest, type Requirement } from './requirement.ts';
import { CODA } from './requirements/coda.ts';
import { FINDING } from './requirements/finding.ts';
import { KEEPING } from './requirements/keeping.ts';
import { SEEN_REFRESHING } from './requirements/seen-refreshing.ts';
import { SEEN_REGISTERING } from './requirements/seen-registering.ts';
import { SEEN_SIGNING_IN } from './requirements/seen-signing-in.ts';
import { SIGNING_IN } from './requirements/signing-in.ts';

const DEMANDED = [...FINDING, ...SIGNING_IN, ...KEEPING];
const SEEN = [...SEEN_REFRESHING, ...SEEN_REGISTERING, ...SEEN_SIGNING_IN];

export const REQUIREMENTS: readonly Requirement[] = [...DEMANDED, ...SEEN, ...CODA];

/** The second part of docs/conformance.md. */
export function requirementsText(): string {
  const demanded = DEMANDED.map((each) => [each.id, each.text, each.demand, proofOf(each)]);
  const seen = SEEN.map((each) => [each.id, each.text, each.seenAt, proofOf(each)]);
  const coda = CODA.map((each) => [each.id, each.text, proofOf(each)]);
  return [
    part('The specification', ['', 'demand', 'strength, and since when', 'proven by'], demanded),
    part('Seen in the wild', ['', 'oddity', 'where', 'what the broker does is proven by'], seen),
    part('The server of Coda', ['', 'the broker', 'proven by'], coda),
  ].join('\n');
}

function part(title: string, head: string[], rows: (string | undefined)[][]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `### ${title}\n\n${lines.join('\n')}\n`;
}

function proofOf({ tests = [], scenarios = [], reason }: Requirement): string {
  return [
    ...tests.map(linkTo),
    ...scenarios.map((name) => `\`${name}\``),
    ...(reason === undefined ? [] : [`no test: ${reason}`]),
  ].join('<br>');
}

function linkTo(text: string): string {
  const { file, name } = namedTest(text);
  return `[${file.replace(/^test\/|\.test\.ts$/g, '')}](../${file}): ${name}`;
}
