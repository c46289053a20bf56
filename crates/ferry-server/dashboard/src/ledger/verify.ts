// Checks a tenant's exported audit log in the browser, item after item.
//
// It checks what `ferry audit verify` checks of one file: every link of every chain, that what is shown is what was
// hashed, the anchors of runs, each checkpoint's signature, that the tenant's entries are in its tree, and that each tree
// goes on from the one before. It cannot know whether the server hands out the right key, or whether this page was
// changed: both come from the server that is being checked. An auditor uses the command, and a key from elsewhere.

import type { AuditEntry, AuditLogHeader, Checkpoint } from "../gen/ferry/v1/audit_pb";
import type { ExportAuditLogResponse } from "../gen/ferry/v1/audit_service_pb";
import { type Bytes, equal, hex, sha256, utf8 } from "./bytes";
import { decodeEntry, type EntryBody, NotAnEntry } from "./entry";
import { emptyRoot, leafHash, type Tree, verifyConsistency, verifyInclusion } from "./merkle";
import { openNote, parseCheckpoint, parseKey, type Signature, type VerifierKey } from "./note";

/** What is wrong, in words that the message table knows. */
export type Fault =
  | "form" | "gap" | "link" | "body" | "shown" | "attempt" | "anchor" | "note" | "signature" | "key" | "inclusion"
  | "consistency" | "retention" | "uncovered";

export interface Bad {
  fault: Fault;
  /** The name of the chain, or `checkpoint`. */
  where: string;
  number: bigint;
}

export interface Report {
  /** Entries of the tenant's own chain, and of the chains of its runs. */
  entries: number;
  runEntries: number;
  runs: number;
  redacted: number;
  checkpoints: number;
  /** Entries of the tenant's own chain that a checkpoint covers. */
  covered: bigint;
  signature: Signature | "none";
  origin: string;
  /** The key that signed the newest checkpoint, as the server names it. */
  key: string;
  treeSize: bigint;
  signTimeMs: number;
  bad?: Bad;
  /** Hashes of the tenant's own chain, in hex, from number 1 on: what a mark beside an entry stands on. */
  hashes: string[];
}

class Found extends Error {
  constructor(readonly bad: Bad) {
    super(`${bad.fault}: ${bad.where} ${bad.number}`);
  }
}

interface Chain {
  count: bigint;
  head: Bytes;
  /** Hashes from number 1 on, until the end of the run is checked. */
  hashes: Bytes[];
  gone: bigint[];
  attempts: Map<string, boolean>;
  pending: { entries: bigint; head: string; at: bigint }[];
  ended?: bigint;
}

const ZEROS: Bytes = new Uint8Array(32);

export class LogVerifier {
  private header: AuditLogHeader | undefined;
  private own = "";
  private readonly chains = new Map<string, Chain>();
  private readonly applied = new Map<string, bigint>();
  private tree: Tree | undefined;
  private key: VerifierKey | undefined;
  private readonly report: Report = {
    entries: 0, runEntries: 0, runs: 0, redacted: 0, checkpoints: 0, covered: 0n, signature: "none", origin: "", key: "",
    treeSize: 0n, signTimeMs: 0, hashes: [],
  };

  /** Takes the next item of the stream. After a fault, what follows is not looked at. */
  async add(response: ExportAuditLogResponse): Promise<void> {
    if (this.report.bad) return;
    try {
      const { item } = response;
      if ((item.case === "log") !== (this.header === undefined)) throw fault("form", "log", 0n);
      if (item.case === "log") {
        this.header = item.value;
        this.own = `tenants/${item.value.tenant}`;
        this.report.origin = item.value.origin;
        this.chain(this.own);
      } else if (item.case === "entry") await this.entry(item.value);
      else if (item.case === "checkpoint") await this.checkpoint(item.value);
    } catch (error) {
      if (!(error instanceof Found)) throw error;
      this.report.bad = error.bad;
    }
  }

  /** What is known so far. */
  progress(): Readonly<Report> {
    return this.report;
  }

  /** What came of it, once the stream has ended. */
  finish(): Report {
    const { report } = this;
    if (report.bad) return report;
    try {
      if (!this.header) throw fault("form", "log", 0n);
      for (const [name, chain] of this.chains) {
        if (chain.pending.length > 0) throw fault("gap", name, chain.count + 1n);
        for (const number of chain.gone) {
          if (number > (this.applied.get(name) ?? 0n)) throw fault("retention", name, number);
        }
      }
      if (report.covered === 0n && report.entries > 0) throw fault("uncovered", this.own, 1n);
    } catch (error) {
      if (!(error instanceof Found)) throw error;
      report.bad = error.bad;
    }
    return report;
  }

  private chain(name: string): Chain {
    let chain = this.chains.get(name);
    if (!chain) {
      chain = { count: 0n, head: ZEROS, hashes: [], gone: [], attempts: new Map(), pending: [] };
      this.chains.set(name, chain);
    }
    return chain;
  }

  /** The id of the run of this tenant that has this name. */
  private runOf(name: string): string | undefined {
    const parts = name.split("/");
    const fits = parts.length === 6 && parts[2] === "exports" && parts[4] === "runs" && name.startsWith(`${this.own}/`);
    return fits && parts[3] && parts[5] ? parts[5] : undefined;
  }

  private async entry(entry: AuditEntry): Promise<void> {
    const [name, number] = [entry.chain, entry.number];
    const run = name === this.own ? "" : this.runOf(name);
    if (run === undefined) throw fault("form", name, number);
    const chain = this.chain(name);
    if (number !== chain.count + 1n) throw fault("gap", name, chain.count + 1n);
    if (!equal(entry.previousHash, chain.head)) throw fault("link", name, number);
    const hasBody = entry.encoded.length > 0;
    if (hasBody && !equal(await sha256(utf8("ferry/entry/1\n"), entry.encoded), entry.bodyHash)) {
      throw fault("body", name, number);
    }
    const hash = await sha256(utf8("ferry/link/1\n"), chain.head, entry.bodyHash);
    if (entry.bodyHash.length !== 32 || !equal(hash, entry.hash)) throw fault("link", name, number);
    chain.count = number;
    chain.head = hash;
    chain.hashes.push(hash);
    if (!hasBody) {
      chain.gone.push(number);
      this.report.redacted += 1;
    }
    const body = hasBody ? this.body(entry, run) : undefined;
    if (chain.ended !== undefined && number > chain.ended) throw fault("anchor", name, number);
    if (run === "") {
      this.report.entries += 1;
      this.report.hashes.push(hex(hash));
      if (body) this.ownEntry(number, body);
    } else {
      if (number === 1n) this.report.runs += 1;
      this.report.runEntries += 1;
      if (body) this.runEntry(chain, name, number, body);
      this.settle(chain, name);
    }
  }

  /** What was hashed. Each field that the server shows beside it must say the same. */
  private body(entry: AuditEntry, run: string): EntryBody {
    let body: EntryBody;
    try {
      body = decodeEntry(entry.encoded);
    } catch (error) {
      if (error instanceof NotAnEntry) throw fault("body", entry.chain, entry.number);
      throw error;
    }
    const time = entry.createTime;
    const shownMs = time ? time.seconds * 1000n + BigInt(Math.floor(time.nanos / 1e6)) : 0n;
    const details = Object.entries(entry.details);
    const same =
      body.tenant === this.header?.tenant && body.chain === run && body.number === entry.number &&
      body.kind === entry.kind && body.actor === entry.actor && body.actorRole === entry.actorRole &&
      body.requiredRole === entry.requiredRole && body.object === entry.object && body.result === entry.result &&
      body.reason === entry.reason && body.correlationId === entry.correlationId && body.origin === entry.origin &&
      body.timeMs === shownMs && details.length === body.details.size &&
      details.every(([key, value]) => body.details.get(key) === value);
    if (!same) throw fault("shown", entry.chain, entry.number);
    return body;
  }

  private ownEntry(number: bigint, body: EntryBody): void {
    const get = (key: string) => body.details.get(key);
    if (body.kind === "RUN_STARTED" || body.kind === "RUN_ANCHORED" || body.kind === "RUN_ENDED") {
      this.anchor(number, body.kind, body.object, get("run_entries"), get("run_head"));
    } else if (body.kind === "RETENTION_APPLIED") {
      const [which, through] = [get("chain"), decimal(get("through"))];
      if (which === undefined || through === undefined) throw fault("retention", this.own, number);
      if (through > (this.applied.get(which) ?? 0n)) this.applied.set(which, through);
    }
  }

  private runEntry(chain: Chain, name: string, number: bigint, body: EntryBody): void {
    if (body.kind !== "EGRESS_INTENT" && body.kind !== "EGRESS_OUTCOME") return;
    const attempt = body.details.get("attempt");
    if (attempt === undefined) throw fault("attempt", name, number);
    const answered = chain.attempts.get(attempt);
    const outcome = body.kind === "EGRESS_OUTCOME";
    const fits = outcome ? answered === false || (answered === undefined && chain.gone.length > 0) : answered === undefined;
    if (!fits) throw fault("attempt", name, number);
    chain.attempts.set(attempt, outcome);
  }

  private anchor(at: bigint, kind: string, name: string, entriesText?: string, head?: string): void {
    if (this.runOf(name) === undefined) throw fault("anchor", this.own, at);
    if (kind === "RUN_STARTED" && entriesText === undefined && head === undefined) return;
    const entries = decimal(entriesText);
    if (entries === undefined || !/^[0-9a-f]{64}$/.test(head ?? "")) throw fault("anchor", this.own, at);
    const chain = this.chain(name);
    if (kind === "RUN_ENDED") chain.ended = entries;
    chain.pending.push({ entries, head: head as string, at });
    this.settle(chain, name);
    if (chain.ended !== undefined && chain.count > chain.ended) throw fault("anchor", name, chain.ended + 1n);
  }

  /** Compares the anchors whose entries are there by now. */
  private settle(chain: Chain, name: string): void {
    while (chain.pending[0] && chain.pending[0].entries <= chain.count) {
      const { entries, head } = chain.pending.shift() as Chain["pending"][number];
      const known = entries === 0n ? ZEROS : chain.hashes[Number(entries) - 1];
      if (known && hex(known) !== head) throw fault("anchor", name, entries);
    }
    if (chain.ended === chain.count && chain.pending.length === 0 && chain.count > 0n) {
      // Only the last may still be asked for.
      chain.hashes = Array.from<Bytes>({ length: Number(chain.count) });
      chain.hashes[Number(chain.count) - 1] = chain.head;
      chain.attempts.clear();
    }
  }

  private async checkpoint(checkpoint: Checkpoint): Promise<void> {
    const { report } = this;
    report.checkpoints += 1;
    const place = BigInt(report.checkpoints);
    const key = await parseKey(checkpoint.publicKey);
    const opened = key && (await openNote(checkpoint.note, key));
    const now = opened && (await parseCheckpoint(opened.text));
    if (!key || !opened || !now) throw fault("note", "checkpoint", place);
    if (opened.signature === "bad" || opened.signature === "unknown-key") throw fault("signature", "checkpoint", place);
    if (now.origin !== this.header?.origin || key.name !== now.origin) throw fault("note", "checkpoint", place);
    if (this.key && this.key.text !== key.text) throw fault("key", "checkpoint", place);
    const old = this.tree ?? { size: 0n, root: await emptyRoot() };
    if (!(await verifyConsistency(old, now, checkpoint.consistencyProof))) throw fault("consistency", "checkpoint", place);
    if (checkpoint.entries > 0n) await this.leaf(checkpoint, now, place);
    this.tree = now;
    this.key = now.nextKey ?? key;
    report.signature = opened.signature;
    report.key = key.text;
    report.treeSize = now.size;
    report.signTimeMs = now.timeMs;
  }

  private async leaf(checkpoint: Checkpoint, tree: Tree, place: bigint): Promise<void> {
    const chain = this.chain(this.own);
    const { entries } = checkpoint;
    if (entries < this.report.covered) throw fault("inclusion", "checkpoint", place);
    if (entries > chain.count) throw fault("gap", this.own, chain.count + 1n);
    const header = this.header as AuditLogHeader;
    const head = chain.hashes[Number(entries) - 1] as Bytes;
    const leaf = await leafHash(header.tenant, header.tenantUid, entries, head);
    const { leafIndex, inclusionProof } = checkpoint;
    if (!(await verifyInclusion(leaf, leafIndex, tree.size, inclusionProof, tree.root))) {
      throw fault("inclusion", "checkpoint", place);
    }
    this.report.covered = entries;
  }
}

function fault(fault: Fault, where: string, number: bigint): Found {
  return new Found({ fault, where, number });
}

function decimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^(0|[1-9][0-9]{0,19})$/.test(text) ? BigInt(text) : undefined;
}
