import assert from "node:assert/strict";
import test from "node:test";
import { formatOf, type Language } from "../src/model/format";

const plain = (text: string): string => text.replace(/[\u00a0\u202f\u2009]/g, " ");
const of = (language: Language) => formatOf(language, "UTC");

test("numbers are grouped as each language does it, four digits too", () => {
  assert.equal(of("en").number(1_234), "1,234");
  assert.equal(of("de").number(1_234), "1.234");
  assert.equal(plain(of("pt").number(1_234)), "1 234");
  assert.equal(of("en").number(999_999.6), "1,000,000");
});

test("almost all is not 100 percent", () => {
  assert.equal(plain(of("en").percent(0.9999)), "99%");
  assert.equal(plain(of("de").percent(1)), "100 %");
  assert.equal(plain(of("en").percent(0)), "0%");
});

test("durations have two units at most", () => {
  const en = of("en");
  assert.equal(plain(en.duration(0)), "0 secs");
  assert.equal(plain(en.duration(59_400)), "59 secs");
  assert.equal(plain(en.duration(61_000)), "1 min 1 sec");
  assert.equal(plain(en.duration(20 * 60_000 + 5_000)), "20 mins");
  assert.equal(plain(en.duration(3 * 3_600_000 + 4 * 60_000)), "3 hrs 4 mins");
  assert.equal(plain(en.duration(26 * 3_600_000)), "1 day 2 hrs");
  assert.equal(plain(en.duration(-5)), "0 secs");
  assert.match(plain(of("de").duration(61_000)), /^1 Min\. 1 Sek\.$/);
  assert.match(plain(of("pt").duration(61_000)), /^1 min 1 s$/);
});

test("how long ago is said in words", () => {
  const now = Date.UTC(2026, 10, 28, 12);
  assert.equal(of("en").ago(now - 3 * 60_000, now), "3 min ago");
  assert.equal(of("de").ago(now - 3 * 60_000, now), "vor 3 Min.");
  assert.match(of("pt").ago(now - 3 * 60_000, now), /^há 3 min/);
  assert.equal(of("en").ago(now + 2 * 3_600_000, now), "in 2 hr");
});

test("a time of another day says which", () => {
  assert.match(of("en").time(Date.UTC(2024, 1, 3, 14, 5)), /3 Feb 2024.*14:05/);
  assert.match(of("de").time(Date.UTC(2024, 1, 3, 14, 5)), /03\.02\.2024.*14:05/);
});
