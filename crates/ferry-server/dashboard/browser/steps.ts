// Checks of the browser tests: each is a line, and the last line says how many held.

const counted = { passed: 0, failed: 0 };

export async function step(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
    counted.passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    counted.failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error).split("\n").slice(0, 12).join("\n        ")}`);
  }
}

export function must(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** Counts checks that another process has made. */
export function also(passed: number, failed: number): void {
  counted.passed += passed;
  counted.failed += failed;
}

/** Says how many held, and ends the process. */
export function end(): never {
  console.log(`${counted.passed} passed, ${counted.failed} failed`);
  process.exit(counted.failed === 0 ? 0 : 1);
}
