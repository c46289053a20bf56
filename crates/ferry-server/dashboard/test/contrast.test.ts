// Each pair of text and ground that the page uses holds WCAG 2.2 AA, in light and dark.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const css = readFileSync(new URL("../src/styles/tokens.css", import.meta.url), "utf8");

function tokens(block: string | undefined): Map<string, string> {
  return new Map([...(block ?? "").matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((found) => [found[1] as string, found[2] as string]));
}

const light = tokens(/^:root \{([^}]*)\}/m.exec(css)?.[1]);
const dark = tokens(/:root\[data-theme="dark"\] \{([^}]*)\}/.exec(css)?.[1]);
const system = tokens(/:root:not\(\[data-theme="light"\]\) \{([^}]*)\}/.exec(css)?.[1]);

function luminance(color: string): number {
  const [r, g, b] = [1, 3, 5].map((place) => {
    const value = Number.parseInt(color.slice(place, place + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

const TEXT: [string, string[]][] = [
  ["ink", ["ground", "surface", "raised", "sunken", "accent-soft", "good-soft", "warn-soft", "bad-soft"]],
  ["ink-2", ["ground", "surface", "raised", "sunken"]],
  ["accent", ["ground", "surface", "raised", "accent-soft"]],
  ["accent-ink", ["accent"]],
  ["good", ["good-soft", "surface", "raised"]],
  ["warn", ["warn-soft", "surface", "raised"]],
  ["bad", ["bad-soft", "surface", "raised"]],
];
/** What is no text but has to be seen. */
const SHAPES: [string, string[]][] = [
  ["line-strong", ["surface", "raised", "ground"]],
  ["accent", ["sunken"]],
  ["bad-fill", ["surface"]],
  ["ceiling", ["surface"]],
];

test("the dark of the system and the dark that was chosen are one", () => {
  assert.ok(light.size >= 20);
  assert.deepEqual(system, dark);
  assert.deepEqual([...dark.keys()].sort(), [...light.keys()].sort());
});

for (const [name, theme] of [["light", light], ["dark", dark]] as const) {
  test(`text and shapes are seen on their grounds: ${name}`, () => {
    const check = (pairs: [string, string[]][], least: number): void => {
      for (const [front, grounds] of pairs) {
        for (const ground of grounds) {
          const found = contrast(theme.get(front) ?? "", theme.get(ground) ?? "");
          assert.ok(found >= least, `${front} on ${ground}: ${found.toFixed(2)} < ${least}`);
        }
      }
    };
    check(TEXT, 4.5);
    check(SHAPES, 3);
  });
}
