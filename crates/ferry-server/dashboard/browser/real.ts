// The dashboard in a real browser against the real service: `ferry demo` for all that people do, and `ferry serve` with an
// OpenID Connect issuer on this machine for signing in.
//
//   FERRY_BIN          the binary, ../../../target/debug/ferry unless given
//   FERRY_SCREENSHOTS  the folder for screenshots, `screenshots` beside the binary's folder unless given
//   CHROMIUM           the browser's program, /usr/bin/chromium unless given
//
// The last line is `N passed, N failed`, of both.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { chromium } from "playwright-core";
import { startIssuer } from "../dev/issuer";
import { TenantService } from "../src/gen/ferry/v1/tenant_service_pb";
import { also, end, must, step } from "./steps";

const here = dirname(fileURLToPath(import.meta.url));
const ferry = resolve(process.env["FERRY_BIN"] ?? join(here, "../../../../target/debug/ferry"));
const shots = resolve(process.env["FERRY_SCREENSHOTS"] ?? join(dirname(ferry), "../screenshots"));
const folder = mkdtempSync(join(tmpdir(), "ferry-browser-"));
const SOON = 120_000;

if (!existsSync(ferry)) {
  console.error(`${ferry} is not built; cargo build --workspace --bins makes it`);
  process.exit(2);
}
mkdirSync(shots, { recursive: true });

/** Starts the binary and resolves once it has printed a line like this. */
function start(words: string[], line: RegExp): Promise<{ child: ChildProcess; found: RegExpMatchArray; said: () => string }> {
  const child = spawn(ferry, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not within ${SOON / 1_000} s: ${line}\n${said}`)), SOON);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        const found = said.match(line);
        if (!found) return;
        clearTimeout(timer);
        resolve({ child, found, said: () => said });
      });
    }
    child.on("exit", (code) => reject(new Error(`${words[0]} ended with ${code}:\n${said}`)));
  });
}

/** Ends what was started as a person would, and says how it ended. */
function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  return new Promise((resolve) => {
    child.on("exit", (code) => resolve(code));
    child.kill(signal);
  });
}

/** Runs the test of the page. Its last line counts. */
function page(environment: Record<string, string>): Promise<void> {
  const child = spawn(process.execPath, ["--import", "tsx", join(here, "run.ts")], {
    env: { ...process.env, FERRY_SCREENSHOTS: shots, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let last = "";
  child.stdout.on("data", (chunk: Buffer) => {
    process.stdout.write(chunk);
    last = (last + chunk.toString()).slice(-1_000);
  });
  return new Promise((resolve) => {
    child.on("close", () => {
      const counted = last.match(/(\d+) passed, (\d+) failed\s*$/);
      also(Number(counted?.[1] ?? 0), Number(counted?.[2] ?? 1));
      resolve();
    });
  });
}

/** 120 imports; at 3 times the pace of the destination that is half a minute of sending. */
await step("the demo runs, and ends as it is told to", async () => {
  const words = ["demo", "--profiles", "30000", "--time-scale", "3", "--listen", "127.0.0.1:0", "--dir", "demo"];
  const { child, said } = await start(words, /Ctrl-C ends it/);
  const url = said().match(/dashboard: (http:\/\/\S+)\//)?.[1];
  must(url, said());
  const token = readFileSync(join(folder, "demo/administrator.token"), "utf8");
  await page({ FERRY_URL: url, FERRY_TOKEN: token, FERRY_EXPORT: "All customers to the newsletter" });
  must((await stop(child, "SIGINT")) === 0, said());
});

/** The token is made once the issuer has an address, which is in it. */
await step("signs in at an issuer, and the token that it gives opens the real service", async () => {
  let token = "";
  const issuer = await startIssuer(() => token);
  const run = (...words: string[]): string => execFileSync(ferry, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] }).toString().trim();
  const mint = (...words: string[]): string => run("token", "--issuer-dir", "issuer", "--issuer", issuer.url, ...words);
  token = mint("--subject", "maria.santos", "--tenant", "acme=administrator");
  mkdirSync(join(folder, "segments/acme"), { recursive: true });
  run("keys", "create", "--keys-dir", "keys");
  const places = ["--data-dir", "data", "--keys-dir", "keys", "--segments-dir", "segments", "--jwks", "issuer/jwks.json"];
  const client = ["--audience", "ferry", "--issuer", issuer.url, "--dashboard-client-id", "ferry-dashboard"];
  const { child, found } = await start(["serve", "--listen", "127.0.0.1:0", ...places, ...client], /serving address=(\S+)/);
  const url = `http://${found[1]}`;
  const bearer = mint("--subject", "operator", "--operator");
  const tenants = createClient(TenantService, createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }));
  await tenants.createTenant({ tenantId: "acme", tenant: { displayName: "Acme" } }, { headers: { authorization: `Bearer ${bearer}` } });
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    const seen = await browser.newPage({ viewport: { width: 1_280, height: 800 }, locale: "en-GB" });
    const problems: string[] = [];
    seen.on("pageerror", (error) => problems.push(error.message));
    seen.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await seen.goto(url);
    await seen.getByRole("button", { name: "Sign in with your organisation" }).click();
    await seen.getByRole("heading", { name: "Runs", level: 1 }).waitFor({ timeout: SOON });
    await seen.locator(".link.live").waitFor({ timeout: SOON });
    must(!seen.url().includes("code="), seen.url());
    await seen.screenshot({ path: join(shots, "oidc-real-service.png"), fullPage: true });
    must(problems.length === 0, problems.join("\n"));
    await seen.goto(`${url}/?code=stolen&state=other`);
    await seen.getByText("The sign-in did not work").waitFor({ timeout: SOON });
  } finally {
    await browser.close();
    await issuer.close();
  }
  must((await stop(child, "SIGTERM")) === 0, "it ends with 0");
});

rmSync(folder, { recursive: true, force: true });
console.log(`screenshots are in ${shots}`);
end();
