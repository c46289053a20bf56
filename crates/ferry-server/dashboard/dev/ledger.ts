// A ledger for development and tests, written by the format alone and apart from src/ledger, so that one checks the
// other. It is no part of the product: Ferry's own is crates/ferry-ledger.

import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AuditEntry, AuditEntrySchema, type AuditEntry_Result, AuditLogHeaderSchema, type Checkpoint, CheckpointSchema,
} from "../src/gen/ferry/v1/audit_pb";
import { type ExportAuditLogResponse, ExportAuditLogResponseSchema } from "../src/gen/ferry/v1/audit_service_pb";

const sha = (...parts: (Buffer | string)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const node = (left: Buffer, right: Buffer): Buffer => sha(Buffer.of(1), left, right);

export interface Fact {
  kind: string;
  actor?: string;
  actorRole?: string;
  requiredRole?: string;
  object?: string;
  result?: AuditEntry_Result;
  reason?: string;
  correlationId?: string;
  origin?: string;
  details?: Record<string, string>;
  timeMs: number;
}

function encode(tenant: string, run: string, number: number, fact: Required<Fact>): Buffer {
  const sized = (bytes: Buffer): Buffer => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length);
    return Buffer.concat([size, bytes]);
  };
  const eight = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return bytes;
  };
  const details = Object.entries(fact.details).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const count = Buffer.alloc(4);
  count.writeUInt32BE(details.length);
  const texts = [fact.kind, fact.actor, fact.actorRole, fact.requiredRole, fact.object].map((text) => Buffer.from(text));
  const after = [fact.reason, fact.correlationId, fact.origin].map((text) => Buffer.from(text));
  return Buffer.concat([
    Buffer.of(1),
    ...[Buffer.from(tenant), Buffer.from(run), eight(BigInt(number)), eight(BigInt(fact.timeMs)), ...texts].map(sized),
    sized(Buffer.of(fact.result)),
    ...after.map(sized),
    count,
    ...details.flat().map((text) => sized(Buffer.from(text))),
  ]);
}

/** RFC 6962, 2.1, word for word. */
function root(leaves: Buffer[]): Buffer {
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return leaves[0] as Buffer;
  const half = split(leaves.length);
  return node(root(leaves.slice(0, half)), root(leaves.slice(half)));
}

function split(count: number): number {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}

function path(index: number, leaves: Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  const half = split(leaves.length);
  return index < half
    ? [...path(index, leaves.slice(0, half)), root(leaves.slice(half))]
    : [...path(index - half, leaves.slice(half)), root(leaves.slice(0, half))];
}

function consistency(old: number, leaves: Buffer[], known = true): Buffer[] {
  if (old === leaves.length) return known ? [] : [root(leaves)];
  const half = split(leaves.length);
  return old <= half
    ? [...consistency(old, leaves.slice(0, half), known), root(leaves.slice(half))]
    : [...consistency(old - half, leaves.slice(half), false), root(leaves.slice(0, half))];
}

interface Signed {
  after: number;
  checkpoint: Checkpoint;
}

export class Ledger {
  readonly origin = "ferry.audit/00000000-0000-4000-8000-000000000fa3";
  readonly publicKey: string;
  readonly own: AuditEntry[] = [];
  readonly runs = new Map<string, AuditEntry[]>();
  private readonly signed: Signed[] = [];
  private readonly leaves: Buffer[] = [];
  private readonly key: KeyObject;
  private readonly keyId: Buffer;
  private readonly uid = "0e3f6d52-8a0f-4c57-9a55-6a4a1b3f2c11";

  constructor(readonly tenant: string) {
    const pair = generateKeyPairSync("ed25519");
    this.key = pair.privateKey;
    const raw = pair.publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    const typed = Buffer.concat([Buffer.of(1), raw]);
    this.keyId = sha(this.origin, "\n", typed).subarray(0, 4);
    this.publicKey = `${this.origin}+${this.keyId.toString("hex")}+${typed.toString("base64")}`;
    // Another tenant's leaf comes first, so that proofs have something in them.
    this.leaves.push(sha(Buffer.of(0), "another tenant"));
  }

  /** Appends to the tenant's own chain, or to that of a run. */
  append(fact: Fact, run?: string): AuditEntry {
    const whole: Required<Fact> = {
      actor: "ferry", actorRole: "", requiredRole: "", object: "", result: 1, reason: "", correlationId: "", origin: "",
      details: {}, ...fact, timeMs: Math.round(fact.timeMs),
    };
    const name = run ?? `tenants/${this.tenant}`;
    const entries = run === undefined ? this.own : (this.runs.get(run) ?? []);
    if (run !== undefined) this.runs.set(run, entries);
    const number = entries.length + 1;
    const id = run === undefined ? "" : run.slice(run.lastIndexOf("/") + 1);
    const encoded = encode(this.tenant, id, number, whole);
    const previousHash = Buffer.from(entries.at(-1)?.hash ?? Buffer.alloc(32));
    const bodyHash = sha("ferry/entry/1\n", encoded);
    const { timeMs, ...fields } = whole;
    const entry = create(AuditEntrySchema, {
      ...fields, name: `${name}/auditEntries/${number}`, number: BigInt(number), createTime: timestampFromMs(timeMs),
      encoded, bodyHash, previousHash, hash: sha("ferry/link/1\n", previousHash, bodyHash), chain: name,
    });
    entries.push(entry);
    return entry;
  }

  /** The details that anchor a run's chain in the tenant's. */
  anchor(run: string): Record<string, string> {
    const entries = this.runs.get(run) ?? [];
    const head = Buffer.from(entries.at(-1)?.hash ?? Buffer.alloc(32)).toString("hex");
    return { run_entries: String(entries.length), run_head: head };
  }

  checkpoint(at: number): void {
    const timeMs = Math.round(at);
    const entries = this.own.length;
    if (entries === 0 || this.signed.at(-1)?.after === entries) return;
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(entries));
    const pseudonym = sha("ferry/tenant/1\n", this.tenant, Buffer.of(0), this.uid);
    const before = this.signed.length === 0 ? 0 : this.leaves.length;
    this.leaves.push(sha(Buffer.of(0), pseudonym, number, Buffer.from(this.own.at(-1)?.hash ?? [])));
    const index = this.leaves.length - 1;
    const text = `${this.origin}\n${this.leaves.length}\n${root(this.leaves).toString("base64")}\ntime ${timeMs}\n`;
    const signature = Buffer.concat([this.keyId, sign(null, Buffer.from(text), this.key)]).toString("base64");
    const checkpoint = create(CheckpointSchema, {
      note: `${text}\n\u2014 ${this.origin} ${signature}\n`, publicKey: this.publicKey, entries: BigInt(entries),
      createTime: timestampFromMs(timeMs), leafIndex: BigInt(index), inclusionProof: path(index, this.leaves),
      consistencyProof: before === 0 ? [] : consistency(before, this.leaves),
    });
    this.signed.push({ after: entries, checkpoint });
  }

  newest(): Checkpoint | undefined {
    return this.signed.at(-1)?.checkpoint;
  }

  /** The log as ExportAuditLog streams it. */
  *export(): Generator<ExportAuditLogResponse> {
    const item = (item: ExportAuditLogResponse["item"]) => create(ExportAuditLogResponseSchema, { item });
    const { tenant, uid: tenantUid, origin } = this;
    yield item({ case: "log", value: create(AuditLogHeaderSchema, { tenant, tenantUid, origin }) });
    const last = this.signed.at(-1)?.after ?? 0;
    const seals = [...this.signed];
    const sent = new Set<string>();
    for (const entry of this.own.slice(0, last)) {
      if (entry.kind === "RUN_ENDED") {
        for (const value of this.runs.get(entry.object) ?? []) yield item({ case: "entry", value });
        sent.add(entry.object);
      }
      yield item({ case: "entry", value: entry });
      while (seals[0] && BigInt(seals[0].after) === entry.number && seals.length > 1) {
        yield item({ case: "checkpoint", value: (seals.shift() as Signed).checkpoint });
      }
    }
    for (const [run, entries] of this.runs) {
      if (!sent.has(run)) for (const value of entries) yield item({ case: "entry", value });
    }
    if (seals[0]) yield item({ case: "checkpoint", value: seals[0].checkpoint });
  }
}
