/** Whether the audit trail is as it was written, in words and for programs. */
import type { AuditFault, FaultKind } from '../vault/audit-faults.ts';
import { digestOf, type VerifyOptions, verifyAudit } from '../vault/audit-verify.ts';
import { instantOf } from './audit-entries.ts';
import type { Context } from './context.ts';

export interface AuditFaultView {
  kind: FaultKind;
  /** The first row concerned. */
  sequence: number;
  /** The last one, where there are several. */
  through?: number;
  /** Where the row that belongs here stands. */
  stands_at?: number;
  /** Who is said to have written it. */
  writer?: string;
  /** When it says it was written; for rows that are not there, when the one before was. */
  at?: string;
  /** In words. */
  message: string;
}

export interface AuditVerificationView {
  intact: boolean;
  /** Rows that are there. */
  rows: number;
  /** Absent: there is none. */
  first_at?: string;
  last_at?: string;
  /** What retention has removed. Absent: nothing. */
  removed?: { rows: number; until: string; last_removed_at: string };
  /** `SEQUENCE:DIGEST` of the end of the chain, to be noted elsewhere. Absent: the trail is not intact. */
  note?: string;
  /** Set when the row that was noted has been removed since, so that nothing could be compared. */
  noted_row_removed?: true;
  fault_count: number;
  /** The first of them, in the order of the chain. */
  faults: AuditFaultView[];
}

/** Walks the whole trail. */
export async function verify(
  { vault }: Pick<Context, 'vault'>,
  options: VerifyOptions,
): Promise<AuditVerificationView> {
  const found = await verifyAudit(vault, vault.sealer.mac, options);
  const { head, faults, faultCount } = found;
  const intact = faultCount === 0 && head !== undefined;
  return {
    intact,
    rows: found.rows,
    ...(found.first && { first_at: instantOf(found.first.at) }),
    ...(found.last && { last_at: instantOf(found.last.at) }),
    ...(head?.isSealed &&
      head.removed > 0 && {
        removed: {
          rows: head.removed,
          until: instantOf(head.removedUntil ?? 0),
          last_removed_at: instantOf(head.removedAt ?? 0),
        },
      }),
    ...(intact && { note: `${head.sequence}:${digestOf(head.mac)}` }),
    ...(found.isNotedRemoved && { noted_row_removed: true as const }),
    fault_count: faultCount,
    faults: faults.map(view),
  };
}

function view(fault: AuditFault): AuditFaultView {
  const { kind, sequence, through, standsAt, writer, at } = fault;
  return {
    kind,
    sequence,
    ...(through === undefined ? {} : { through }),
    ...(standsAt === undefined ? {} : { stands_at: standsAt }),
    ...(writer === undefined ? {} : { writer: String(writer) }),
    ...(at === null ? {} : { at: instantOf(at) }),
    message: words(fault),
  };
}

function words({ kind, sequence, through, standsAt }: AuditFault): string {
  const several = through !== undefined;
  const rows = several ? `rows ${sequence} to ${through}` : `row ${sequence}`;
  const are = several ? 'are' : 'is';
  switch (kind) {
    case 'edited':
      return `${rows} ${are} not as ${several ? 'they were' : 'it was'} written`;
    case 'missing':
      return `${rows} ${are} missing`;
    case 'out_of_order':
      return `row ${sequence} is out of order: what was written there stands at ${standsAt}`;
    case 'cut_off':
      return `${rows} ${are} missing: the end was cut off`;
    case 'added':
      if (!Number.isSafeInteger(sequence)) return 'a row whose number is none was added by somebody else';
      return `${rows} ${several ? 'were' : 'was'} added by somebody else`;
    case 'head_edited':
      return 'the sealed record of where the trail begins and ends was changed, so rows may be missing at both';
    case 'head_missing':
      return 'the sealed record of where the trail begins and ends was removed, so rows may be missing at both';
    case 'shorter_than_noted':
      return `the trail ends at row ${sequence}: it is shorter than you noted, so an earlier state was put back`;
    case 'not_as_noted':
      return `row ${sequence} is another one than you noted`;
  }
}
