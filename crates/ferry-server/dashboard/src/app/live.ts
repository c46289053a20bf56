// What the page knows of the tenant's runs and exports, kept up to date by one watch of all runs.

import { Code } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Api, UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { type Change, isOver, RunFeed } from "../api/feed";
import { browserWait, type Link, watch } from "../api/watch";
import type { Export } from "../gen/ferry/v1/export_pb";
import type { Run } from "../gen/ferry/v1/run_pb";
import { progressOf } from "../model/account";
import { ACTIVECAMPAIGN_PROFILES_PER_MINUTE, profilesPerMinute } from "../model/ceiling";
import { allExports } from "../model/names";
import { History, Meter, paceOf } from "../model/rate";
import { Store } from "./store";

/** Ended runs that are read at a time. */
const PAGE = 25;

export interface Snapshot {
  /** Those that go on, the newest first. */
  going: Run[];
  /** Those that have ended, the newest first. */
  ended: Run[];
  exports: Map<string, Export>;
  /** Nothing is drawn as empty before it has been read. */
  runsRead: boolean;
  exportsRead: boolean;
  moreRuns: boolean;
  moreExports: boolean;
  problem: Problem | undefined;
}

export interface StateChange {
  run: Run;
}

export class Live {
  readonly link = new Store<Link>({ state: "connecting" });
  readonly snapshot: Store<Snapshot>;
  /** The newest change of a run's state, to be said aloud. */
  readonly stateChange = new Store<StateChange | undefined>(undefined);
  readonly histories = [new History(10_000, 60), new History(60_000, 60)] as const;
  ceiling = ACTIVECAMPAIGN_PROFILES_PER_MINUTE;
  private readonly feed = new RunFeed();
  private readonly meters = new Map<string, Meter>();
  private readonly drawn = new Map<string, { at: number; sent: number }>();
  private readonly exports = new Map<string, Export>();
  private readonly stop = new AbortController();
  private readonly wake = new EventTarget();
  private runsToken: string | undefined = "";
  private exportsToken: string | undefined = "";
  private runsRead = false;
  private exportsRead = false;
  private problem: Problem | undefined;
  private due = false;

  constructor(
    private readonly api: Api,
    readonly tenant: string,
    private readonly sessionEnded: () => void,
  ) {
    this.snapshot = new Store(this.collect());
  }

  start(): void {
    const parent = allExports(this.tenant);
    void watch(
      this.feed,
      {
        open: (resumeToken, signal) => this.api.runs.watchRuns({ parent, resumeToken }, { signal }),
        change: (change) => this.change(change),
        link: (link) => this.setLink(link),
        now: () => Date.now(),
        wait: (ms, signal) => browserWait(ms, AbortSignal.any([signal, this.woken()])),
      },
      this.stop.signal,
    );
    void this.readExports();
    void this.readRuns();
    void this.readCeiling();
  }

  close(): void {
    this.stop.abort();
  }

  /** Tries to connect at once. */
  retry(): void {
    this.wake.dispatchEvent(new Event("wake"));
  }

  perMinute(run: Run, now: number): number | undefined {
    return this.meters.get(run.name)?.perMinute(now);
  }

  /** People a minute of all runs of these exports. */
  paceOf(exports: string[], now: number): number {
    const runs = [...this.feed.runs.values()].filter((run) => exports.includes(run.export));
    return paceOf(runs.flatMap((run) => this.meters.get(run.name) ?? []), now);
  }

  exportName(name: string): string {
    return this.exports.get(name)?.displayName || name.slice(name.lastIndexOf("/") + 1);
  }

  run(name: string): Run | undefined {
    return this.feed.runs.get(name);
  }

  /** Takes in what a call has returned, so that it is seen at once. */
  put(run: Run | undefined): void {
    if (run && this.feed.put(run)) this.measure(run);
    this.draw();
  }

  async readRun(name: string): Promise<void> {
    const { run } = await this.api.runs.getRun({ name }, UNARY);
    this.put(run);
  }

  async readRuns(): Promise<void> {
    if (this.runsToken === undefined) return;
    try {
      const request = { parent: allExports(this.tenant), pageSize: PAGE, pageToken: this.runsToken };
      const page = await this.api.runs.listRuns(request, UNARY);
      this.runsToken = page.nextPageToken || undefined;
      for (const run of page.runs) if (this.feed.put(run)) this.measure(run);
      this.runsRead = true;
    } catch (error) {
      this.fail(error);
    }
    this.draw();
  }

  async readExports(): Promise<void> {
    try {
      do {
        const request = { parent: `tenants/${this.tenant}`, pageSize: 100, pageToken: this.exportsToken ?? "" };
        const page = await this.api.exports.listExports(request, UNARY);
        for (const found of page.exports) this.exports.set(found.name, found);
        this.exportsToken = page.nextPageToken || undefined;
      } while (this.exportsToken !== undefined && this.exports.size < 500);
      this.exportsRead = true;
    } catch (error) {
      this.fail(error);
    }
    this.draw();
  }

  private async readCeiling(): Promise<void> {
    try {
      const { destinationTypes } = await this.api.connections.listDestinationTypes({ parent: `tenants/${this.tenant}` }, UNARY);
      this.ceiling = profilesPerMinute(destinationTypes.find((type) => type.id === "activecampaign"));
      this.draw();
    } catch {
      // The documented figure stays.
    }
  }

  private fail(error: unknown): void {
    const problem = problemOf(error);
    if (problem.code === Code.Unauthenticated) this.sessionEnded();
    this.problem = problem;
  }

  private setLink(link: Link): void {
    if (link.state === "ended" && link.problem.code === Code.Unauthenticated) this.sessionEnded();
    if (link.state === "live" && this.problem) {
      // What could not be read while the server was away is read now.
      this.problem = undefined;
      if (!this.exportsRead) void this.readExports();
      if (!this.runsRead) void this.readRuns();
    }
    this.link.set(link);
  }

  private woken(): AbortSignal {
    const woken = new AbortController();
    this.wake.addEventListener("wake", () => woken.abort(), { once: true });
    return woken.signal;
  }

  private change(change: Change): void {
    if (change.kind === "run") {
      this.measure(change.run);
      if (!this.exports.has(change.run.export) && this.exportsRead) void this.readExports();
      if (change.before && change.before.state !== change.run.state) this.stateChange.set({ run: change.run });
    } else if (change.kind === "complete") {
      // Those that ended while nobody looked: read what became of them.
      for (const name of change.gone) void this.readRun(name).catch(() => this.forget(name));
    }
    this.draw();
  }

  private forget(name: string): void {
    this.feed.runs.delete(name);
    this.draw();
  }

  private measure(run: Run): void {
    const sent = progressOf(run.counts).sent;
    const now = isOver(run) && run.endTime ? Math.min(timestampMs(run.endTime), Date.now()) : Date.now();
    let before = this.drawn.get(run.name);
    // Seen for the first time: what it has done so far counts with its average.
    before ??= run.startTime ? { at: Math.min(timestampMs(run.startTime), now), sent: 0 } : { at: now, sent };
    for (const history of this.histories) history.add(run.export, before.at, Math.max(now, before.at), sent - before.sent);
    this.drawn.set(run.name, { at: now, sent: Math.max(sent, before.sent) });
    if (isOver(run)) {
      this.meters.delete(run.name);
      return;
    }
    let meter = this.meters.get(run.name);
    if (!meter) this.meters.set(run.name, (meter = new Meter()));
    meter.note(Date.now(), sent);
  }

  private draw(): void {
    if (this.due) return;
    this.due = true;
    // Not requestAnimationFrame: that stands still in a tab that is not looked at, and its title should still move.
    setTimeout(() => {
      this.due = false;
      this.snapshot.set(this.collect());
    }, 100);
  }

  private collect(): Snapshot {
    const runs = [...(this.feed?.runs.values() ?? [])];
    const time = (run: Run): number => (run.createTime ? timestampMs(run.createTime) : 0);
    runs.sort((a, b) => time(b) - time(a) || (a.name < b.name ? 1 : -1));
    return {
      going: runs.filter((run) => !isOver(run)),
      ended: runs.filter(isOver),
      exports: this.exports,
      runsRead: this.runsRead,
      exportsRead: this.exportsRead,
      moreRuns: this.runsToken !== undefined && this.runsRead,
      moreExports: this.exportsToken !== undefined && this.exportsRead,
      problem: this.problem,
    };
  }
}
