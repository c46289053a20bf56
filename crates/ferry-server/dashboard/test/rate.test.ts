import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { DestinationTypeSchema } from "../src/gen/ferry/v1/destination_type_pb";
import { ACTIVECAMPAIGN_PROFILES_PER_MINUTE, profilesPerMinute } from "../src/model/ceiling";
import { History, Meter, paceOf, timeLeft } from "../src/model/rate";

test("a steady run has its pace, over the window alone", () => {
  const meter = new Meter(30_000);
  for (let at = 0; at <= 60_000; at += 600) meter.note(at, at <= 30_000 ? 0 : ((at - 30_000) / 600) * 250);
  assert.equal(Math.round(meter.perMinute(60_000) ?? 0), 25_000);
});

test("with one sight of a run there is no pace", () => {
  const meter = new Meter();
  assert.equal(meter.perMinute(0), undefined);
  meter.note(0, 10);
  assert.equal(meter.perMinute(10_000), undefined);
  meter.note(1_000, 20);
  assert.equal(meter.perMinute(1_000), undefined);
});

test("a run that stands still slows down to nothing", () => {
  const meter = new Meter(30_000);
  for (let at = 0; at <= 10_000; at += 1_000) meter.note(at, at);
  const moving = meter.perMinute(10_000) ?? 0;
  const later = meter.perMinute(25_000) ?? 0;
  assert.ok(later < moving && later > 0, `${later}`);
  assert.equal(meter.perMinute(60_000), 0);
});

test("a count that went back, or a repeat, changes nothing", () => {
  const meter = new Meter();
  meter.note(0, 0);
  meter.note(10_000, 1_000);
  const before = meter.perMinute(10_000);
  meter.note(11_000, 900);
  meter.note(10_000, 5_000);
  assert.equal(meter.perMinute(10_000), before);
});

test("two runs that share an account are together no faster than the account", () => {
  const [first, second] = [new Meter(30_000), new Meter(30_000)];
  let [sent, other] = [0, 0];
  for (let at = 0; at <= 60_000; at += 600) {
    // From 50 s on they take turns.
    if (at < 50_000 || (at / 600) % 2 === 0) sent += 250;
    else other += 250;
    first.note(at, sent);
    if (at >= 50_000) second.note(at, other);
  }
  const together = paceOf([first, second], 60_000);
  assert.ok(together > 24_000 && together < 25_500, `${together}`);
  assert.ok((first.perMinute(60_000) ?? 0) + (second.perMinute(60_000) ?? 0) > 27_000, "the sum of the two would be more");
  assert.equal(paceOf([], 60_000), 0);
});

test("the time left follows the pace, and the server's estimate where there is none", () => {
  assert.deepEqual(timeLeft(50_000, 25_000, 999, 0), { ms: 120_000, by: "pace" });
  assert.deepEqual(timeLeft(50_000, undefined, 90_000, 30_000), { ms: 60_000, by: "estimate" });
  assert.deepEqual(timeLeft(50_000, 0, 90_000, 30_000), { ms: 60_000, by: "estimate" });
  assert.equal(timeLeft(50_000, undefined, 10_000, 30_000), undefined);
  assert.equal(timeLeft(0, 25_000, undefined, 0), undefined);
});

test("history spreads people evenly and loses none of them", () => {
  const history = new History(10_000, 6);
  history.add("a", 5_000, 25_000, 200);
  history.add("b", 20_000, 20_000, 7);
  const of = (...keys: string[]): number[] => history.perMinute(keys, 60_000).map(({ value }) => value / 6);
  assert.deepEqual(of("a"), [50, 100, 50, 0, 0, 0]);
  assert.deepEqual(of("a", "b"), [50, 100, 57, 0, 0, 0]);
  assert.deepEqual(of("c"), [0, 0, 0, 0, 0, 0]);
  history.add("a", 0, 20_000, -5);
  assert.deepEqual(of("a"), [50, 100, 50, 0, 0, 0]);
});

test("the ceiling is that of imports of several contacts, as the server says it", () => {
  const type = create(DestinationTypeSchema, {
    rowsPerRequest: 250,
    rateLimits: [
      { what: "requests", requests: 5, window: { seconds: 1n } },
      { what: "imports of several contacts", requests: 100, window: { seconds: 60n } },
      { what: "imports of one contact", requests: 20, window: { seconds: 60n } },
    ],
  });
  assert.equal(profilesPerMinute(type), 25_000);
  assert.equal(profilesPerMinute(undefined), ACTIVECAMPAIGN_PROFILES_PER_MINUTE);
  assert.equal(ACTIVECAMPAIGN_PROFILES_PER_MINUTE, 25_000);
});
