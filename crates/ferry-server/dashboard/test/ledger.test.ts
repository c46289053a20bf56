// The verifier in the browser against a log that Ferry itself wrote (vectors/demo.jsonl: ExportAuditLog of `ferry demo`,
// item by item), against the ledger of the fake server, and against what crates/ferry-ledger fixes in its own tests.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { clone, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { World } from "../dev/world";
import { type ExportAuditLogResponse, ExportAuditLogResponseSchema } from "../src/gen/ferry/v1/audit_service_pb";
import { fromBase64, hex, sha256, utf8 } from "../src/ledger/bytes";
import { decodeEntry, NotAnEntry } from "../src/ledger/entry";
import { emptyRoot } from "../src/ledger/merkle";
import { openNote, parseCheckpoint, parseKey } from "../src/ledger/note";
import { type Fault, LogVerifier, type Report } from "../src/ledger/verify";

type Items = ExportAuditLogResponse[];

const demo: Items = readFileSync(new URL("vectors/demo.jsonl", import.meta.url), "utf8")
  .trim().split("\n").map((line) => fromJsonString(ExportAuditLogResponseSchema, line));
const copy = (items: Items): Items => items.map((item) => clone(ExportAuditLogResponseSchema, item));

async function verify(items: Items): Promise<Report> {
  const verifier = new LogVerifier();
  for (const item of items) await verifier.add(item);
  return verifier.finish();
}

const entryAt = (items: Items, place: number) => {
  const item = items[place]?.item;
  assert.ok(item?.case === "entry");
  return item.value;
};
const where = (items: Items, fits: (item: ExportAuditLogResponse["item"]) => boolean): number => items.findIndex(({ item }) => fits(item));
const isKind = (kind: string) => (item: ExportAuditLogResponse["item"]): boolean => item.case === "entry" && item.value.kind === kind;

test("a log that Ferry wrote is good", async () => {
  const report = await verify(demo);
  assert.equal(report.bad, undefined);
  assert.equal(report.signature, "good");
  assert.ok(report.entries >= 6 && report.runEntries >= 9 && report.runs === 3, JSON.stringify(report, (_, value) => typeof value === "bigint" ? Number(value) : value));
  assert.equal(report.covered, BigInt(report.entries));
  assert.equal(report.checkpoints, 1);
});

test("each way to alter it is found, and called what it is", async () => {
  const alterations: [Fault, (items: Items) => void][] = [
    ["gap", (items) => void items.splice(where(items, isKind("CONNECTION_CREATED")), 1)],
    ["gap", (items) => void items.splice(where(items, isKind("EGRESS_OUTCOME")), 1)],
    ["body", (items) => { entryAt(items, where(items, isKind("EXPORT_CREATED"))).encoded[40]! ^= 1; }],
    ["link", (items) => { entryAt(items, where(items, isKind("EXPORT_CREATED"))).hash[3]! ^= 1; }],
    ["body", (items) => { entryAt(items, where(items, isKind("EXPORT_CREATED"))).bodyHash = new Uint8Array(31); }],
    ["shown", (items) => { entryAt(items, where(items, isKind("CONNECTION_CREATED"))).actor = "somebody-else"; }],
    ["shown", (items) => { entryAt(items, where(items, isKind("CONNECTION_CREATED"))).details["host"] = "evil.example"; }],
    ["shown", (items) => { const time = entryAt(items, where(items, isKind("RUN_QUEUED"))).createTime; if (time) time.seconds += 60n; }],
    ["form", (items) => void items.shift()],
    ["form", (items) => { entryAt(items, where(items, isKind("RUN_QUEUED"))).chain = "tenants/other"; }],
    ["signature", (items) => seal(items, (value) => { value.note = value.note.replace(/\ntime (\d)/, (line) => `${line}1`); })],
    ["note", (items) => seal(items, (value) => { value.publicKey = value.publicKey.replace(/.$/, "A"); })],
    ["inclusion", (items) => seal(items, (value) => { value.entries -= 1n; })],
    ["inclusion", (items) => seal(items, (value) => { value.leafIndex += 1n; })],
    ["uncovered", (items) => { for (const { item } of items) if (item.case === "checkpoint") item.value.entries = 0n; }],
    ["retention", (items) => { entryAt(items, where(items, isKind("RUN_QUEUED"))).encoded = new Uint8Array(); }],
  ];
  for (const [fault, alter] of alterations) {
    const items = copy(demo);
    alter(items);
    const report = await verify(items);
    assert.equal(report.bad?.fault, fault, alter.toString());
  }
});

function seal(items: Items, change: (value: Extract<ExportAuditLogResponse["item"], { case: "checkpoint" }>["value"]) => void): void {
  const item = items.findLast(({ item }) => item.case === "checkpoint")?.item;
  assert.ok(item?.case === "checkpoint");
  change(item.value);
}

test("a checkpoint that does not go on from the one before is found", async () => {
  const items = copy([...new World("acme", true, 1).ledger.export()]);
  const seals = items.filter(({ item }) => item.case === "checkpoint");
  const last = seals.at(-1)?.item;
  assert.ok(last?.case === "checkpoint" && seals.length >= 2);
  const proof = last.value.consistencyProof;
  for (const altered of [[...proof, new Uint8Array(32)], proof.slice(1), proof.map((hash) => hash.map((byte) => byte ^ 1))]) {
    last.value.consistencyProof = altered;
    assert.equal((await verify(items)).bad?.fault, "consistency");
  }
  last.value.consistencyProof = proof;
  assert.equal((await verify(items)).bad, undefined);
});

test("the record of a run that is shorter than its anchor says is found", async () => {
  const items = copy(demo).filter(({ item }) => !(item.case === "entry" && item.value.kind === "EGRESS_SETTLED"));
  assert.equal((await verify(items)).bad?.fault, "gap");
});

test("the fake server's ledger is good too, and tests/verify.py says the same of both", async () => {
  const world = new World("acme", true, 1);
  const items = [...world.ledger.export()];
  const report = await verify(items);
  assert.equal(report.bad, undefined);
  assert.ok(report.entries > 20 && report.runEntries > 100 && report.checkpoints === 2 && report.signature === "good");
  const folder = mkdtempSync(join(tmpdir(), "ferry-ledger-"));
  const script = fileURLToPath(new URL("../../../../tests/verify.py", import.meta.url));
  for (const [name, log, key] of [["fake", items, world.ledger.publicKey], ["demo", demo, (await verify(demo)).key]] as const) {
    const file = join(folder, name);
    writeFileSync(file, log.map((item) => `${toJsonString(ExportAuditLogResponseSchema, item)}\n`).join(""));
    const said = spawnSync("python3", [script, file, key], { encoding: "utf8" });
    assert.equal(said.stdout, "ok\n", name + said.stderr);
  }
});

// The sample of crates/ferry-ledger/src/entry/tests.rs, whose hash is fixed there as "the format".
test("the format is the one that crates/ferry-ledger fixes", async () => {
  const encoder = (text: string): Uint8Array => utf8(text);
  const parts: number[] = [1];
  const put = (bytes: Uint8Array): void => void parts.push(0, 0, bytes.length >> 8, bytes.length & 255, ...bytes);
  const eight = (value: bigint): Uint8Array => { const bytes = new Uint8Array(8); new DataView(bytes.buffer).setBigInt64(0, value); return bytes; };
  put(encoder("acme")); put(encoder("018f")); put(eight(7n)); put(eight(-3n));
  for (const text of ["EGRESS_INTENT", "ferry", "OWNER", "OPERATOR", "tenants/acme/exports/x/runs/018f"]) put(encoder(text));
  put(Uint8Array.of(2));
  for (const text of ["ROLE_MISSING", "req-1", "10.0.0.1"]) put(encoder(text));
  parts.push(0, 0, 0, 2);
  for (const text of ["attempt", "1", "host", "a.example"]) put(encoder(text));
  const body = Uint8Array.from(parts);
  const hash = await sha256(utf8("ferry/link/1\n"), new Uint8Array(32), await sha256(utf8("ferry/entry/1\n"), body));
  assert.equal(hex(hash), "6d5f3df575027996945b3dc962829975a248d1ff59b88f06abe940cf3e3a718d");
  const entry = decodeEntry(body);
  assert.equal(entry.timeMs, -3n);
  assert.equal(entry.number, 7n);
  assert.deepEqual([...entry.details], [["attempt", "1"], ["host", "a.example"]]);
  for (let end = 0; end < body.length; end += 1) assert.throws(() => decodeEntry(body.slice(0, end)), NotAnEntry, `${end}`);
  assert.throws(() => decodeEntry(Uint8Array.of(...body, 0)), NotAnEntry);
  assert.throws(() => decodeEntry(Uint8Array.of(2, ...body.slice(1))), NotAnEntry);
});

// The example of golang.org/x/mod/sumdb/note, as in crates/ferry-ledger/src/checkpoint/tests.rs.
const KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
  "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

test("the example of Go's signed notes is believed, and no letter of it can be changed", async () => {
  const key = await parseKey(KEY);
  assert.ok(key);
  assert.equal((await openNote(NOTE, key))?.signature, "good");
  for (let place = 0; place < NOTE.length; place += 1) {
    const letter = String.fromCharCode(NOTE.charCodeAt(place) ^ 1);
    const opened = await openNote(NOTE.slice(0, place) + letter + NOTE.slice(place + 1), key);
    assert.notEqual(opened?.signature, "good", `${place}`);
  }
  for (let place = 0; place < KEY.length; place += 1) {
    const letter = String.fromCharCode(KEY.charCodeAt(place) + 1);
    assert.equal(await parseKey(KEY.slice(0, place) + letter + KEY.slice(place + 1)), undefined, `${place}`);
  }
});

test("a checkpoint has one way to write its numbers", async () => {
  const body = "ferry.audit/1\n5\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\ntime 1700000000000\n";
  assert.equal((await parseCheckpoint(`${body}other 1\n`))?.size, 5n);
  for (const [from, to] of [["\n5\n", "\n05\n"], ["\n5\n", "\n+5\n"], ["\n5\n", "\n\n"], ["time 1", "time +1"], ["time ", "tim "], ["=\n", "\n"], ["CQkJ", "CQ"]] as const) {
    assert.ok(body.includes(from));
    assert.equal(await parseCheckpoint(body.replace(from, to)), undefined, to);
  }
  assert.equal(await parseCheckpoint(`${body}time 1\n`), undefined);
});

test("the empty tree has the root of RFC 6962", async () => {
  assert.equal(hex(await emptyRoot()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.equal(fromBase64("AB="), undefined);
});
