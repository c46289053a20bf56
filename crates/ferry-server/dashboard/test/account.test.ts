import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { RunCountsSchema } from "../src/gen/ferry/v1/run_pb";
import { membersOf, progressOf, removalsOf } from "../src/model/account";
import { covered } from "../src/model/cover";

const counts = create(RunCountsSchema, {
  members: 100n, rejected: 1n, twins: 2n, excluded: 3n, unchanged: 4n, confirmed: 50n, refused: 5n, unknown: 6n, queued: 7n,
  notSent: 22n, removals: 10n, removalsConfirmed: 4n, removalsRefused: 1n, removalsUnknown: 2n, removalsNotSent: 3n,
});

test("an account that adds up has no difference", () => {
  assert.equal(membersOf(counts).difference, 0);
  assert.equal(removalsOf(counts).difference, 0);
  assert.equal(membersOf(counts).terms.length, 9);
});

test("each number of the account counts", () => {
  for (const { name } of membersOf(counts).terms) {
    const changed = create(RunCountsSchema, { ...counts, [name]: counts[name] + 1n });
    assert.equal(membersOf(changed).difference, -1, name);
  }
  for (const { name } of removalsOf(counts).terms) {
    const changed = create(RunCountsSchema, { ...counts, [name]: counts[name] + 1n });
    assert.equal(removalsOf(changed).difference, -1, name);
  }
});

test("the bar is of those who are to be sent, and nobody is in it twice", () => {
  const progress = progressOf(counts);
  // 50 + 5 + 6 + 7 + 22 members, and 10 removals.
  assert.equal(progress.total, 100);
  assert.equal(progress.settled, 50 + 5 + 4 + 1);
  assert.equal(progress.refused, 6);
  assert.equal(progress.sent, 60 + 6 + 7 + 2);
  assert.deepEqual(progressOf(undefined), { total: 0, settled: 0, refused: 0, underway: 0, sent: 0 });
});

test("a covered address shows its first letter and where it is", () => {
  assert.equal(covered("maria@example.org"), "m•••@example.org");
  assert.equal(covered("not an address"), "n•••");
});
