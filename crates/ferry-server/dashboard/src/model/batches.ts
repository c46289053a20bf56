// The batches of a run, as its record tells of them: the API lists no batches, but every request and answer is an entry
// in the chain of the run.

import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { AuditEntry } from "../gen/ferry/v1/audit_pb";

export type BatchState = "sent" | "queued" | "due" | "settled" | "unknown";

export interface Batch {
  number: number;
  people: number;
  action: string;
  attempts: number;
  confirmed: number | undefined;
  refused: number | undefined;
  state: BatchState;
  sentAt: number;
}

const STATES: BatchState[] = ["sent", "queued", "due", "settled", "unknown"];

/** Folds entries into batches. Entries may come in any order and may be part of a chain alone. */
export function batchesOf(entries: AuditEntry[]): Batch[] {
  const ascending = [...entries].sort((a, b) => (a.number < b.number ? -1 : 1));
  const batches = new Map<number, Batch>();
  const open = (number: number): Batch => {
    let batch = batches.get(number);
    if (!batch) {
      batch = { number, people: 0, action: "", attempts: 0, confirmed: undefined, refused: undefined, state: "sent", sentAt: 0 };
      batches.set(number, batch);
    }
    return batch;
  };
  const count = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
  for (const entry of ascending) {
    const { details } = entry;
    if (details["batch"] === undefined || !entry.kind.startsWith("EGRESS_")) continue;
    const batch = open(Number(details["batch"]));
    if (entry.kind === "EGRESS_INTENT") {
      batch.attempts += 1;
      batch.people = count(details["count"]) ?? batch.people;
      batch.action = details["action"] ?? batch.action;
      batch.state = "sent";
      batch.sentAt = entry.createTime ? timestampMs(entry.createTime) : 0;
    } else {
      batch.confirmed = count(details["confirmed"]) ?? batch.confirmed;
      batch.refused = count(details["refused"]) ?? batch.refused;
      const state = details["state"] as BatchState;
      if (STATES.includes(state)) batch.state = state;
    }
  }
  return [...batches.values()].sort((a, b) => b.sentAt - a.sentAt || b.number - a.number);
}
