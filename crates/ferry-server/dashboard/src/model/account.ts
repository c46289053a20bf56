// The account of a run: where each member of its snapshot, and each removal, has ended.

import type { RunCounts } from "../gen/ferry/v1/run_pb";

export type Term =
  | "rejected" | "twins" | "excluded" | "unchanged" | "confirmed" | "refused" | "unknown" | "queued" | "notSent";
export type RemovalTerm = "removalsConfirmed" | "removalsRefused" | "removalsUnknown" | "removalsNotSent";

export interface Sum<Name extends string> {
  total: number;
  terms: { name: Name; value: number }[];
  /** What is missing from the terms; 0 where the account adds up. */
  difference: number;
}

const TERMS: Term[] = [
  "rejected", "twins", "excluded", "unchanged", "confirmed", "refused", "unknown", "queued", "notSent",
];
const REMOVAL_TERMS: RemovalTerm[] = ["removalsConfirmed", "removalsRefused", "removalsUnknown", "removalsNotSent"];

type Counts = Pick<RunCounts, Term | RemovalTerm | "members" | "removals">;

function sum<Name extends keyof Counts>(counts: Counts, total: bigint, names: Name[]): Sum<Name> {
  const terms = names.map((name) => ({ name, value: Number(counts[name]) }));
  const difference = Number(total) - terms.reduce((sum, term) => sum + term.value, 0);
  return { total: Number(total), terms, difference };
}

/** members = rejected + twins + excluded + unchanged + confirmed + refused + unknown + queued + not sent. */
export const membersOf = (counts: Counts): Sum<Term> => sum(counts, counts.members, TERMS);

/** removals = confirmed + refused + unknown + not sent. */
export const removalsOf = (counts: Counts): Sum<RemovalTerm> => sum(counts, counts.removals, REMOVAL_TERMS);

export interface Progress {
  /** People to be sent or removed in all. */
  total: number;
  /** Those of whom the destination has said what became of them. */
  settled: number;
  /** Of the settled: those whom it refused. */
  refused: number;
  /** Sent, and not settled yet. */
  underway: number;
  /** Settled and underway together: what counts against the destination's limit. */
  sent: number;
}

export function progressOf(counts: Counts | undefined): Progress {
  if (!counts) return { total: 0, settled: 0, refused: 0, underway: 0, sent: 0 };
  const number = (...values: bigint[]): number => Number(values.reduce((sum, value) => sum + value, 0n));
  const refused = number(counts.refused, counts.removalsRefused);
  const settled = number(counts.confirmed, counts.removalsConfirmed) + refused;
  const underway = number(counts.queued, counts.unknown, counts.removalsUnknown);
  const left = number(counts.notSent, counts.removalsNotSent);
  return { total: settled + underway + left, settled, refused, underway, sent: settled + underway };
}
