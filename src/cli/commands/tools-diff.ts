/** What has changed in a server's tools, for people: each field as it was and as it is. */
import { changedFields, type FieldChange } from '../../core/tool-diff.ts';
import type { ToolJudgement, ToolReport } from '../../mcp/tool-report.ts';
import { paint } from '../terminal.ts';

/** Tools that are not as they were accepted. */
export function differing({ tools }: ToolReport): ToolJudgement[] {
  return tools.filter(({ state }) => state === 'new' || state === 'changed' || state === 'gone');
}

/** `1 new, 2 changed`. */
export function countOf(report: ToolReport): string {
  const states = differing(report).map(({ state }) => state);
  return (['new', 'changed', 'gone'] as const)
    .map((state) => [states.filter((each) => each === state).length, state] as const)
    .filter(([count]) => count > 0)
    .map(([count, state]) => `${count} ${state}`)
    .join(', ');
}

/** The changes of a tool: all its fields for a new one, none for one that is gone. */
export function changesOf({ state, changes, definition }: ToolJudgement): FieldChange[] {
  if (state !== 'new') return changes;
  return changedFields({}, definition).filter(({ field }) => field !== 'name');
}

/** A block for each tool that differs. */
export function diffLines(report: ToolReport): string[] {
  return differing(report).flatMap((tool) => [
    `${paint('bold', visible(tool.name))} ${paint(COLOURS[tool.state] ?? 'dim', tool.state)}`,
    ...changesOf(tool).flatMap(fieldLines),
  ]);
}

const COLOURS = { new: 'green', changed: 'yellow', gone: 'red' } as Partial<
  Record<ToolJudgement['state'], 'green' | 'yellow' | 'red'>
>;

function fieldLines({ field, before, after }: FieldChange): string[] {
  const from = before !== undefined && after !== undefined ? sharedStart(before, after) : 0;
  return [
    `  ${visible(field)}`,
    ...(before === undefined ? [] : [paint('red', `    - ${excerpt(before, from)}`)]),
    ...(after === undefined ? [] : [paint('green', `    + ${excerpt(after, from)}`)]),
  ];
}

/** Longest text shown. What differs is within it: it begins a little before the first difference. */
const LONGEST = 2000;
const LEAD = 60;

function excerpt(text: string, differsFrom: number): string {
  const start = text.length > LONGEST ? Math.max(0, differsFrom - LEAD) : 0;
  const part = text.slice(start, start + LONGEST);
  const rest = text.length - start - part.length;
  return `${start > 0 ? '…' : ''}"${visible(part)}"${rest > 0 ? `… (${rest} more)` : ''}`;
}

function sharedStart(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return at;
}

/**
 * All of it in one line, with what nobody could see written out: models read invisible characters, and a terminal would
 * obey others.
 */
export function visible(text: string): string {
  return text.replace(INVISIBLE, (sign) =>
    sign === '\n' ? '\\n' : `\\u{${sign.codePointAt(0)?.toString(16)}}`,
  );
}

/** JSON in which such signs are written out, which changes nothing of what it says. */
export function visibleJson(value: unknown): string {
  // Line ends are the layout's: those of texts are written out already.
  return JSON.stringify(value, null, 2).replace(INVISIBLE, (sign) => (sign === '\n' ? sign : escaped(sign)));
}

function escaped(sign: string): string {
  const units = Array.from({ length: sign.length }, (_, index) => sign.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
