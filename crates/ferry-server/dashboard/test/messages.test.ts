import assert from "node:assert/strict";
import test from "node:test";
import { fill, i18nOf, LANGUAGES, TABLES } from "../src/i18n";
import { KINDS, REASONS, REJECTIONS, TERMS } from "../src/i18n/codes";
import { en } from "../src/i18n/en";
import { ErrorReason } from "../src/gen/ferry/v1/error_reason_pb";

const places = (text: string): string[] => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1] as string))].sort();

test("every message is there in every language, with the same placeholders", () => {
  for (const language of LANGUAGES) {
    assert.deepEqual(Object.keys(TABLES[language]).sort(), Object.keys(en).sort(), language);
    for (const [key, text] of Object.entries(TABLES[language])) {
      const english = en[key as keyof typeof en];
      assert.equal(text === "", english.length === 0, `${language} ${key}`);
      assert.deepEqual(places(text), places(english), `${language} ${key}`);
      assert.equal(text.split("|").length, english.split("|").length, `${language} ${key}`);
    }
  }
});

test("every code has a text in every language", () => {
  for (const [table, texts] of Object.entries({ KINDS, REASONS, REJECTIONS, TERMS })) {
    for (const [code, text] of Object.entries(texts)) {
      assert.equal(text.length, LANGUAGES.length, `${table} ${code}`);
      assert.ok(text.every((one) => one.trim() !== ""), `${table} ${code}`);
    }
  }
});

test("every reason of the API that a run or a call can end by has words, but those of requests that this page never makes", () => {
  const without = ["UNSPECIFIED", "INVALID_FIELDS", "PAGE_TOKEN_INVALID", "REQUEST_ID_REUSED", "RESOURCE_EXISTS", "CONSENT_REQUIRED", "CONSENT_TEXT_STALE", "CONNECTION_IN_USE", "DEADLINE_EXCEEDED"];
  const reasons = Object.values(ErrorReason).filter((value): value is string => typeof value === "string");
  assert.ok(reasons.length > 40);
  for (const reason of reasons) {
    assert.equal(reason in REASONS, !without.includes(reason), reason);
  }
});

test("no text of German or Portuguese was left in English", () => {
  const same = new Set(["app.name", "stage.rejected", "nav.exports", "link.live", "runs.col.export", "exports.col.name"]);
  for (const language of ["de", "pt"] as const) {
    for (const [key, text] of Object.entries(TABLES[language])) {
      if (same.has(key) || text.replace(/\{\w+\}|\W/g, "").length < 6) continue;
      if (text === en[key as keyof typeof en]) assert.ok(/^\{|^(Administrator|Plan|Segment|Export)/.test(text), `${language} ${key}: ${text}`);
    }
  }
});

test("a message is filled, and counts in singular and plural", () => {
  assert.equal(fill("{a} of {b}, {c}", { a: 1, b: "two" }), "1 of two, {c}");
  assert.equal(i18nOf("en").count("exports.segments", 1), "1 segment");
  assert.equal(i18nOf("de").count("exports.segments", 2_000), "2.000 Segmente");
  assert.equal(i18nOf("pt").count("exports.segments", 0).startsWith("0 segmento"), true);
  assert.equal(i18nOf("en").kind("SOMETHING_NEW"), "SOMETHING_NEW");
  assert.equal(i18nOf("en").reason("SOMETHING_NEW"), undefined);
});
