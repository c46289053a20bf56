// A made-up tenant for development and tests: exports, connections, and runs that move by themselves. Nothing here is
// how Ferry works; it only answers like it.

import { randomUUID } from "node:crypto";
import { create, clone } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs as exactTimestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  Connection_Access, type Connection, ConnectionSchema, Connection_State,
} from "../src/gen/ferry/v1/connection_pb";
import { type Export, ExportSchema } from "../src/gen/ferry/v1/export_pb";
import { type RejectedProfile, RejectedProfileSchema, RejectedProfile_Stage } from "../src/gen/ferry/v1/rejected_profile_pb";
import {
  type Run, RunError_Culprit, RunError_Severity, Run_PauseReason, Run_Phase, RunSchema, Run_State, Run_Trigger,
} from "../src/gen/ferry/v1/run_pb";
import { Ledger } from "./ledger";

const timestampFromMs = (ms: number): Timestamp => exactTimestamp(Math.round(ms));

const MINUTE = 60_000;
/** Changes that a token can still ask for. */
const LOG_KEPT = 5_000;

export interface Logged {
  sequence: number;
  run: Run;
}

export class World {
  readonly exports = new Map<string, Export>();
  readonly connections = new Map<string, Connection>();
  readonly runs = new Map<string, Run>();
  readonly ledger: Ledger;
  log: Logged[] = [];
  sequence = 0;
  private readonly waiting = new Set<() => void>();
  private readonly versions = new Map<string, number>();
  private readonly timer: NodeJS.Timeout | undefined;
  private readonly batchOf = new Map<string, number>();

  constructor(
    readonly tenant: string,
    filled: boolean,
    private readonly speed: number,
  ) {
    this.ledger = new Ledger(tenant);
    const now = Date.now();
    this.ledger.append({
      kind: "TENANT_CREATED", actor: "operator@ferry.example", actorRole: "operator", requiredRole: "operator",
      object: `tenants/${tenant}`, timeMs: now - 9 * 24 * 60 * MINUTE,
    });
    if (filled) this.fill(now);
    this.ledger.checkpoint(now - MINUTE);
    this.timer = setInterval(() => this.tick(), 200);
    this.timer.unref();
  }

  /** Resolves with the next change, or after `ms`. */
  next(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.waiting.add(done);
      signal.addEventListener("abort", done);
    });
  }

  /** Stores a run and tells the watchers. */
  change(run: Run): Run {
    const version = (this.versions.get(run.name) ?? 0) + 1;
    this.versions.set(run.name, version);
    run.etag = `"${version}"`;
    const stored = clone(RunSchema, run);
    this.runs.set(run.name, stored);
    this.log.push({ sequence: (this.sequence += 1), run: stored });
    if (this.log.length > LOG_KEPT) this.log = this.log.slice(-LOG_KEPT);
    for (const wake of [...this.waiting]) wake();
    return stored;
  }

  start(export_: Export, who: string, dryRun = false, at = Date.now(), members = 0): Run {
    const id = `01${randomUUID().slice(2)}`;
    const count = members || SIZES[export_.name.split("/")[3] as string] || 59;
    const run = create(RunSchema, {
      name: `${export_.name}/runs/${id}`, uid: id, export: export_.name, state: Run_State.QUEUED, trigger: Run_Trigger.ON_DEMAND,
      startedBy: who, counts: { members: 0n }, dryRun, createTime: timestampFromMs(at),
    });
    SIZE_OF.set(run.name, count);
    this.ledger.append({
      kind: dryRun ? "RUN_PLAN_QUEUED" : "RUN_QUEUED", actor: who, actorRole: "administrator", requiredRole: "contributor",
      object: run.name, timeMs: at, origin: "10.12.0.7", correlationId: randomUUID(),
      details: { trigger: "on_demand", connection: export_.connection, full_resync: "false" },
    });
    return this.change(run);
  }

  cancel(run: Run, who: string): Run {
    const now = Date.now();
    this.ledger.append({
      kind: "RUN_CANCEL_REQUESTED", actor: who, actorRole: "administrator", requiredRole: "contributor", object: run.name,
      timeMs: now, origin: "10.12.0.7", details: { was: "processing", state: "cancelling" },
    });
    const changed = clone(RunSchema, run);
    const held = run.state !== Run_State.PROCESSING;
    changed.state = held ? Run_State.CANCELLED : Run_State.CANCELLING;
    if (held) return this.end(changed, Run_State.CANCELLED);
    return this.change(changed);
  }

  end(run: Run, state: Run_State): Run {
    run.state = state;
    run.phase = Run_Phase.UNSPECIFIED;
    run.pauseReason = Run_PauseReason.UNSPECIFIED;
    run.endTime = timestampFromMs(Date.now());
    const counts = run.counts;
    if (counts) {
      counts.confirmed += counts.queued;
      counts.queued = 0n;
    }
    this.ledger.append({
      kind: "RUN_ENDED", object: run.name, timeMs: Date.now(),
      details: { state: Run_State[state].toLowerCase(), ...this.ledger.anchor(run.name) },
    });
    return this.change(run);
  }

  private tick(): void {
    const now = Date.now();
    const busy = [...this.runs.values()].filter((run) => run.state === Run_State.PROCESSING || run.state === Run_State.CANCELLING);
    for (const run of this.runs.values()) {
      if (run.state === Run_State.QUEUED && timestampMs(run.createTime ?? timestampFromMs(0)) < now - 600 / this.speed) {
        const begun = clone(RunSchema, run);
        begun.state = Run_State.PROCESSING;
        begun.phase = Run_Phase.READING;
        begun.startTime = timestampFromMs(now);
        this.change(begun);
      }
    }
    for (const run of busy) this.move(clone(RunSchema, run), now, busy.filter((other) => other.phase === Run_Phase.SENDING).length);
    if (now % MINUTE < 200) this.ledger.checkpoint(now);
  }

  /** One step of a fifth of a second. */
  private move(run: Run, now: number, sharers: number): void {
    const counts = run.counts;
    if (!counts) return;
    const size = SIZE_OF.get(run.name) ?? 59;
    const age = (now - timestampMs(run.startTime ?? timestampFromMs(now))) * this.speed;
    if (run.state === Run_State.CANCELLING) {
      this.end(run, Run_State.CANCELLED);
    } else if (run.phase === Run_Phase.READING) {
      counts.members = BigInt(Math.min(size, Math.round((size * age) / 2_000)));
      counts.notSent = counts.members;
      if (age > 2_000) run.phase = Run_Phase.PLANNING;
      this.change(run);
    } else if (run.phase === Run_Phase.PLANNING) {
      if (age < 3_000) return;
      this.plan(run, size, now);
      if (run.dryRun) this.end(run, Run_State.SUCCEEDED);
      else this.change(run);
    } else if (run.phase === Run_Phase.SENDING) {
      const step = BigInt(Math.max(1, Math.round((25_000 / 300 / Math.max(1, sharers)) * this.speed * (0.92 + Math.random() * 0.08))));
      const sent = step < counts.notSent ? step : counts.notSent;
      counts.notSent -= sent;
      const settling = counts.queued / 20n + (counts.queued > 0n ? 1n : 0n);
      const refused = settling / 180n;
      counts.queued += sent - settling;
      counts.refused += refused;
      counts.confirmed += settling - refused;
      run.batchesSettled = (BigInt(size) - counts.notSent - counts.queued) / 250n;
      this.record(run, now, Number(sent));
      if (counts.notSent === 0n) run.phase = Run_Phase.SETTLING;
      this.change(run);
    } else if (run.phase === Run_Phase.SETTLING) {
      const settled = counts.queued / 3n + 1n < counts.queued ? counts.queued / 3n + 1n : counts.queued;
      counts.queued -= settled;
      counts.confirmed += settled;
      run.batchesSettled = counts.queued === 0n ? run.batchesTotal : run.batchesSettled;
      if (counts.queued === 0n) this.end(run, Run_State.SUCCEEDED);
      else this.change(run);
    }
  }

  private plan(run: Run, size: number, now: number): void {
    const counts = run.counts;
    if (!counts) return;
    const members = BigInt(size);
    counts.members = members;
    counts.rejected = members / 800n;
    counts.twins = members / 1_500n;
    counts.excluded = members / 2_500n;
    counts.unchanged = members / 12n;
    counts.notSent = members - counts.rejected - counts.twins - counts.excluded - counts.unchanged;
    run.phase = Run_Phase.SENDING;
    run.batchesTotal = (counts.notSent + 249n) / 250n;
    run.estimatedEndTime = timestampFromMs(now + (Number(counts.notSent) / 25_000 / this.speed) * MINUTE);
    run.planSummary = create(RunSchema, {
      planSummary: { adds: counts.notSent - counts.notSent / 5n, changes: counts.notSent / 5n, removals: 0n, refusals: counts.excluded },
    }).planSummary;
    if (!run.dryRun) {
      this.ledger.append({
        kind: "RUN_STARTED", object: run.name, timeMs: now,
        details: { planned: String(counts.notSent), removals: "0", host: "acme.api-us1.com", list: "3", ...this.ledger.anchor(run.name) },
      });
    }
  }

  private record(run: Run, now: number, people: number): void {
    const batch = this.batchOf.get(run.name) ?? 0;
    this.batchOf.set(run.name, batch + 1);
    const attempt = `${run.uid.slice(0, 8)}-${batch}`;
    const details = { attempt, batch: String(batch), host: "acme.api-us1.com", list: "3", action: "put", count: String(Math.min(people, 250)), epoch: "1" };
    this.ledger.append({ kind: "EGRESS_INTENT", object: run.name, timeMs: now, details }, run.name);
    this.ledger.append({ kind: "EGRESS_OUTCOME", object: run.name, timeMs: now + 40, details: { attempt, batch: String(batch), outcome: "queued", state: "queued" } }, run.name);
    if (batch < 4) return;
    const settled = { batch: String(batch - 4), state: "settled", confirmed: String(Math.min(people, 250) - 1), refused: "1" };
    this.ledger.append({ kind: "EGRESS_SETTLED", object: run.name, timeMs: now + 60, details: settled }, run.name);
  }

  rejected(run: Run): RejectedProfile[] {
    const { counts } = run;
    if (!counts) return [];
    const rows = (number: bigint, stage: RejectedProfile_Stage, reasons: string[]): RejectedProfile[] =>
      Array.from({ length: Number(number) }, (_, place) => {
        const reason = reasons[Math.floor((place * place) % reasons.length)] as string;
        return create(RejectedProfileSchema, {
          segment: "newsletter-readers", line: BigInt(17 + place * 613), stage, reason,
          reasonCandidates: reason === "DESTINATION_REASON_NOT_GIVEN" ? ["BOUNCED_BEFORE", "UNSUBSCRIBED_BEFORE", "EXCLUSION_LIST"] : [],
          email: reason === "EMAIL_MISSING" || reason === "SUPPRESSED" ? "" : reason === "EMAIL_MALFORMED" ? `someone${place}.example.org` : `someone${place}@example.org`,
        });
      });
    return [
      ...rows(counts.rejected, RejectedProfile_Stage.REJECTED, ["EMAIL_MALFORMED", "EMAIL_MISSING", "EMAIL_MALFORMED", "ROW_RAGGED"]),
      ...rows(counts.excluded, RejectedProfile_Stage.EXCLUDED, ["REFUSED_BEFORE", "PREVIOUSLY_REMOVED", "SUPPRESSED"]),
      ...rows(counts.refused, RejectedProfile_Stage.REFUSED, ["DESTINATION_REASON_NOT_GIVEN", "DESTINATION_EMAIL_MALFORMED"]),
    ];
  }

  private fill(now: number): void {
    const day = 24 * 60 * MINUTE;
    const admin = "maria.santos@acme.example";
    for (const [id, name, state, reason, access] of [
      ["newsletter", "Newsletter account", Connection_State.READY, "", 2],
      ["loyalty", "Loyalty club", Connection_State.NEEDS_ATTENTION, "CREDENTIALS_REFUSED", 1],
      ["events", "Events", Connection_State.UNVERIFIED, "", 1],
    ] as const) {
      const full = `tenants/${this.tenant}/connections/${id}`;
      this.connections.set(full, create(ConnectionSchema, {
        name: full, uid: randomUUID(), displayName: name, destinationType: "activecampaign", state, stateReason: reason,
        access: access === 2 ? Connection_Access.ADMINISTRATORS_AND_CONTRIBUTORS : Connection_Access.ADMINISTRATORS, runAs: admin,
        settings: { settings: { case: "activecampaign", value: { host: `${id === "newsletter" ? "acme" : `acme-${id}`}.api-us1.com`, apiKeySetTime: timestampFromMs(now - 8 * day) } } },
        consent: { accepted: true, textVersion: "2026-11-01", acceptTime: timestampFromMs(now - 8 * day), acceptedBy: admin },
        etag: '"1"', createTime: timestampFromMs(now - 8 * day),
      }));
      this.ledger.append({
        kind: "CONNECTION_CREATED", actor: admin, actorRole: "administrator", requiredRole: "administrator", object: full,
        timeMs: now - 8 * day, origin: "10.12.0.7", correlationId: randomUUID(),
        details: { destination_type: "activecampaign", secret: "sealed", consent_version: "2026-11-01", accepted_by: admin },
      });
    }
    for (const [id, name, connection, list, segments, schedule] of EXPORTS) {
      const full = `tenants/${this.tenant}/exports/${id}`;
      this.exports.set(full, create(ExportSchema, {
        name: full, uid: randomUUID(), displayName: name, connection: connection && `tenants/${this.tenant}/connections/${connection}`,
        segments: segments.map((segment) => `tenants/${this.tenant}/segments/${segment}`),
        settings: { settings: { case: "activecampaign", value: { listId: list } } },
        schedule: { schedule: schedule === "off" ? { case: "off", value: {} } : schedule === "cron" ? { case: "recurrence", value: { cron: "0 6 * * 1", timeZone: "Europe/Lisbon" } } : { case: "withRefresh", value: {} } },
        nextRunTime: schedule === "off" || !connection ? undefined : timestampFromMs(now + (schedule === "cron" ? 3 : 2) * day),
        permissions: { canRun: true, canUpdate: true, canDelete: true, canViewRejected: true },
        etag: '"1"', createTime: timestampFromMs(now - 7 * day), updatedBy: admin,
      }));
      this.ledger.append({
        kind: "EXPORT_CREATED", actor: admin, actorRole: "administrator", requiredRole: "contributor", object: full,
        timeMs: now - 7 * day, origin: "10.12.0.7", details: { connection: connection || "" },
      });
    }
    this.ledger.append({
      kind: "CALL_DENIED", actor: "intern@acme.example", actorRole: "viewer", requiredRole: "contributor", result: 2, reason: "ROLE_TOO_LOW",
      object: `tenants/${this.tenant}/exports/newsletter-readers`, timeMs: now - 3 * day, origin: "10.12.0.31", details: { permission: "RunExport" },
    });
    this.ledger.checkpoint(now - 2 * day);
    this.history(now);
    this.goingOn(now);
  }

  /** Runs that have ended in each way. */
  private history(now: number): void {
    const past = (id: string, minutesAgo: number, minutes: number, members: number, change: (run: Run) => void, state: Run_State, who = "refresh"): void => {
      const found = this.exports.get(`tenants/${this.tenant}/exports/${id}`) as Export;
      const at = now - minutesAgo * MINUTE;
      const run = clone(RunSchema, this.start(found, who === "refresh" ? "maria.santos@acme.example" : who, false, at, members));
      run.trigger = who === "refresh" ? Run_Trigger.REFRESH : Run_Trigger.ON_DEMAND;
      run.startTime = timestampFromMs(at + 800);
      if (members > 0) {
        this.plan(run, members, at);
        const counts = run.counts;
        if (counts) {
          counts.refused = counts.notSent / 220n;
          counts.confirmed = counts.notSent - counts.refused;
          counts.notSent = 0n;
        }
        for (let batch = 0; batch < Math.min(Number(run.batchesTotal), 60); batch += 1) this.record(run, at + batch * 600, 250);
        run.batchesSettled = run.batchesTotal;
      }
      change(run);
      const ended = this.end(run, state);
      ended.endTime = timestampFromMs(at + minutes * MINUTE);
    };
    const failed = (reason: string, message: string, culprit: RunError_Culprit, severity: RunError_Severity) => (run: Run): void => {
      run.error = create(RunSchema, { error: { status: { code: 9, message }, reason, culprit, severity } }).error;
    };
    past("newsletter-readers", 1_470, 39, 962_340, () => {}, Run_State.SUCCEEDED);
    past("new-customers", 1_430, 0.2, 4_120, () => {}, Run_State.SUCCEEDED);
    past("lapsed-2024", 900, 0.02, 0, failed("SEGMENT_FAILED", "segment `lapsed` was not refreshed: its last refresh failed", RunError_Culprit.USER, RunError_Severity.TEMPORARY), Run_State.SKIPPED);
    past("vip-lisbon", 240, 0.1, 0, failed("LIST_NOT_FOUND", "list `12` does not exist at `acme.api-us1.com`", RunError_Culprit.USER, RunError_Severity.PERMANENT), Run_State.FAILED, "joao.silva@acme.example");
    past("new-customers", 95, 0.3, 4_480, (run) => { run.warnings = ["2 other exports fill field `7` of the same account from another column"]; }, Run_State.SUCCEEDED, "joao.silva@acme.example");
    past("birthday-club", 61, 1.4, 38_700, (run) => {
      const counts = run.counts;
      if (counts) { counts.notSent = 9_800n; counts.confirmed -= 9_800n; }
      run.batchesSettled = run.batchesTotal - 39n;
    }, Run_State.CANCELLED, "maria.santos@acme.example");
    past("event-guests", 34, 2, 12_400, (run) => {
      const counts = run.counts;
      if (counts) { counts.removals = 140n; counts.removalsConfirmed = 139n; counts.removalsUnknown = 1n; }
    }, Run_State.SUCCEEDED, "joao.silva@acme.example");
  }

  private goingOn(now: number): void {
    const found = (id: string): Export => this.exports.get(`tenants/${this.tenant}/exports/${id}`) as Export;
    const held = clone(RunSchema, this.start(found("birthday-club"), "joao.silva@acme.example", false, now - 25 * MINUTE, 31_200));
    held.startTime = timestampFromMs(now - 24.900 * MINUTE);
    this.plan(held, 31_200, now);
    held.state = Run_State.AWAITING_APPROVAL;
    if (held.counts) { held.counts.removals = 5_214n; held.counts.removalsNotSent = 5_214n; }
    if (held.planSummary) held.planSummary.removals = 5_214n;
    held.approval = create(RunSchema, { approval: { reasons: ["5,214 of 36,414 known members would be removed (14 %), more than the 10 % that the export allows"], expireTime: timestampFromMs(now + 23.600 * 60 * MINUTE) } }).approval;
    this.change(held);
    const paused = clone(RunSchema, this.start(found("loyalty-gold"), "maria.santos@acme.example", false, now - 70 * MINUTE, 86_000));
    paused.startTime = timestampFromMs(now - 69 * MINUTE);
    this.plan(paused, 86_000, now);
    paused.state = Run_State.PAUSED;
    paused.pauseReason = Run_PauseReason.CREDENTIALS;
    if (paused.counts) { paused.counts.notSent -= 33_750n; paused.counts.confirmed = 33_620n; paused.counts.refused = 130n; }
    paused.batchesSettled = 135n;
    paused.error = create(RunSchema, { error: { status: { code: 9, message: "`acme-loyalty.api-us1.com` answered 403 to three requests in a row" }, reason: "CREDENTIALS_REFUSED", culprit: RunError_Culprit.USER, severity: RunError_Severity.PERMANENT } }).error;
    this.change(paused);
    const big = clone(RunSchema, this.start(found("newsletter-readers"), "maria.santos@acme.example", false, now - 9 * MINUTE, 1_000_000));
    big.state = Run_State.PROCESSING;
    big.startTime = timestampFromMs(now - 8.700 * MINUTE);
    this.plan(big, 1_000_000, now);
    const counts = big.counts;
    if (counts) { counts.notSent -= 209_000n; counts.confirmed = 205_600n; counts.refused = 900n; counts.queued = 2_500n; }
    big.estimatedEndTime = timestampFromMs(now + 28.500 * MINUTE);
    big.batchesSettled = 826n;
    this.change(big);
  }
}

const SIZE_OF = new Map<string, number>();
const SIZES: Record<string, number> = {
  "newsletter-readers": 1_000_000, "new-customers": 4_480, "birthday-club": 31_200, "loyalty-gold": 86_000,
  "event-guests": 36_000, "lapsed-2024": 52_000, "vip-lisbon": 2_600,
};
const EXPORTS: [string, string, string, string, string[], string][] = [
  ["newsletter-readers", "Newsletter readers", "newsletter", "3", ["newsletter-readers"], ""],
  ["new-customers", "New customers", "newsletter", "4", ["new-customers", "trial-ended"], ""],
  ["birthday-club", "Birthday club", "newsletter", "9", ["birthday-club"], "cron"],
  ["loyalty-gold", "Loyalty: gold members", "loyalty", "1", ["loyalty-gold"], ""],
  ["event-guests", "Event guests", "newsletter", "11", ["event-guests"], "off"],
  ["vip-lisbon", "VIP Lisbon", "newsletter", "12", ["vip-lisbon"], "off"],
  ["lapsed-2024", "Lapsed customers 2024", "", "5", ["lapsed"], ""],
];
