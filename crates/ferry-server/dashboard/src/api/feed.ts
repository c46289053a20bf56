// What is known of the runs that are watched, and what a message of WatchRuns changes in it.

import type { Run } from "../gen/ferry/v1/run_pb";
import type { WatchRunsResponse } from "../gen/ferry/v1/run_service_pb";

/** Etags kept of each run, to tell a repeat that comes after a newer change. Five changes a second, for 50 s. */
const ETAGS_KEPT = 256;

export type Change =
  | { kind: "run"; run: Run; before: Run | undefined }
  | { kind: "complete"; /** Runs that went on when last heard of and are not in the snapshot. */ gone: string[] }
  | { kind: "repeat" | "heartbeat" };

export class RunFeed {
  /** Everything up to here has been taken in; a stream that is opened with it goes on from here. */
  token = "";
  readonly runs = new Map<string, Run>();
  private readonly seen = new Map<string, string[]>();
  /** Names in the snapshot that is coming in; undefined while none is. */
  private snapshot: Set<string> | undefined;

  /** Begins anew: the next stream sends a snapshot. What is known stays until that says otherwise. */
  forget(): void {
    this.token = "";
    this.snapshot = undefined;
  }

  /** To be called before a stream is opened. A snapshot that was cut off begins again from its start. */
  open(): string {
    if (this.snapshot) this.token = "";
    if (this.token === "") this.snapshot = new Set();
    return this.token;
  }

  take(message: WatchRunsResponse): Change {
    const change = this.change(message);
    // Only now, so that a change that could not be taken in is sent again.
    if (message.resumeToken !== "") this.token = message.resumeToken;
    return change;
  }

  /** Takes in a run that was read otherwise, by ListRuns or GetRun. Returns whether it said something new. */
  put(run: Run): boolean {
    const known = this.runs.get(run.name);
    if (known && (isOver(known) || this.isRepeat(run))) return false;
    this.remember(run);
    this.runs.set(run.name, run);
    return true;
  }

  private change(message: WatchRunsResponse): Change {
    const { event } = message;
    if (event.case === "heartbeat") return { kind: "heartbeat" };
    if (event.case === "run") {
      const run = event.value;
      this.snapshot?.add(run.name);
      const before = this.runs.get(run.name);
      // A terminal run never changes again, so whatever still comes of it is a repeat.
      if (this.isRepeat(run) || (before && isOver(before))) return { kind: "repeat" };
      this.remember(run);
      this.runs.set(run.name, run);
      return { kind: "run", run, before };
    }
    if (event.case === "snapshotComplete") {
      const present = this.snapshot ?? new Set();
      this.snapshot = undefined;
      const gone = [...this.runs.values()].filter((run) => !isOver(run) && !present.has(run.name));
      return { kind: "complete", gone: gone.map((run) => run.name) };
    }
    return { kind: "heartbeat" };
  }

  private isRepeat(run: Run): boolean {
    return run.etag !== "" && (this.seen.get(run.name)?.includes(run.etag) ?? false);
  }

  private remember(run: Run): void {
    const etags = this.seen.get(run.name) ?? [];
    etags.push(run.etag);
    if (etags.length > ETAGS_KEPT) etags.shift();
    this.seen.set(run.name, etags);
  }
}

/** A run that has ended. States that this page does not know are terminal exactly if end_time is set. */
export const isOver = (run: Run): boolean => run.endTime !== undefined;
