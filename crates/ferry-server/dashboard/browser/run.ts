// The dashboard in a real browser: signs in, starts a run, sees the bar move, cancels one, sees rejected rows, loses the
// connection and goes on. Leaves screenshots.
//
//   FERRY_URL          where the dashboard is served; without it the fake server is started
//   FERRY_TOKEN        an access token of an administrator (of the tenant whose exports are to be run)
//   FERRY_EXPORT       the display name of the export to run, large enough to take ten seconds or more
//   FERRY_SCREENSHOTS  the folder for screenshots; none are taken without it
//   CHROMIUM           the browser's program, /usr/bin/chromium unless given
//
// Each check is a line; the last line is `N passed, N failed`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { type Fake, startFake } from "../dev/fake";
import { token as makeToken } from "../dev/tokens";
import { type Door, startDoor } from "./proxy";
import { end, must, step } from "./steps";

const shots = process.env["FERRY_SCREENSHOTS"];
if (shots) mkdirSync(shots, { recursive: true });
const given = process.env["FERRY_URL"];
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const fake: Fake | undefined = given ? undefined : await startFake({ dist, speed: 4, heartbeatMs: 2_000 });
const url = given ?? (fake as Fake).url;
const token = process.env["FERRY_TOKEN"] ?? makeToken("maria.santos@acme.example", { acme: "administrator", quiet: "administrator" });
const exportName = process.env["FERRY_EXPORT"] ?? "Event guests";
const PATIENT = { timeout: 60_000 };

const problems: string[] = [];

/** A page that remembers what the browser complained of: errors, and whatever the content security policy refused. */
async function newPage(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/net::|Failed to load resource/.test(message.text())) problems.push(`console: ${message.text()}`);
  });
  return page;
}

async function shot(page: Page, name: string): Promise<void> {
  if (!shots) return;
  // The header stays in sight, which would be in the middle of a whole page.
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true, animations: "disabled" });
}

/** The row of the newest run of the export, in the list of those that go on. */
const going = (page: Page) => page.locator("article.going", { hasText: exportName }).first();
const sent = async (page: Page): Promise<number> => Number((await going(page).getByRole("progressbar").getAttribute("aria-valuenow")) ?? 0);

async function until(holds: () => Promise<boolean>, what: string, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    must(Date.now() < end, `not within ${ms / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function signIn(page: Page, at: string): Promise<void> {
  await page.goto(at);
  await page.getByLabel("Access token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENT);
}

async function startRun(page: Page): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name: "Exports" }).click();
  await page.getByRole("button", { name: `Run: ${exportName}` }).click();
  await page.getByRole("radio", { name: "Send everybody again" }).check();
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.getByText(`The run of ${exportName} was started.`).first().waitFor(PATIENT);
  await page.getByRole("navigation").getByRole("link", { name: "Runs" }).click();
  await going(page).waitFor(PATIENT);
}

const browser: Browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const door: Door = await startDoor(new URL(url));
const context = await browser.newContext({ viewport: { width: 1_280, height: 800 }, locale: "en-GB", colorScheme: "light", reducedMotion: "reduce" });
const page = await newPage(context);

await step("a token that is none is refused, in words", async () => {
  await page.goto(door.url);
  await page.getByLabel("Access token").fill("nonsense");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This is no access token").waitFor(PATIENT);
  await shot(page, "sign-in-wrong");
});

await step("signs in, and the token is not in the address", async () => {
  await signIn(page, door.url);
  must(!page.url().includes(token.slice(0, 12)), page.url());
  await page.locator(".link.live").waitFor(PATIENT);
});

await step("starts a run and sees its bar move", async () => {
  await startRun(page);
  await until(async () => (await sent(page)) > 0, "something is sent");
  const first = await sent(page);
  await until(async () => (await sent(page)) > first, "the bar moves");
  await going(page).getByText("/min").waitFor(PATIENT);
});

await step("loses the connection, says so, and goes on where it broke off", async () => {
  const before = await sent(page);
  door.shut();
  await page.getByText("Connection lost").first().waitFor(PATIENT);
  await page.locator(".link.cut").waitFor(PATIENT);
  must((await sent(page)) >= before, "what was known stays");
  await shot(page, "connection-lost");
  await door.open();
  await page.getByRole("button", { name: "Try now" }).click({ timeout: 2_000 }).catch(() => undefined);
  await page.getByText("continued from where it broke off").waitFor(PATIENT);
  await shot(page, "connection-back");
  const after = await sent(page);
  await until(async () => (await sent(page)) > after || (await going(page).count()) === 0, "it moves on");
});

await step("cancels the run, and its account adds up", async () => {
  if ((await going(page).count()) === 0) await startRun(page);
  await until(async () => (await sent(page)) > 0, "something is sent");
  await going(page).getByRole("link", { name: exportName }).click();
  await page.getByRole("button", { name: /^Cancel/ }).click();
  await shot(page, "cancel");
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await page.locator(".run-head .mark", { hasText: "Cancelled" }).waitFor({ timeout: 60_000 });
  await page.locator(".account .mark", { hasText: "Adds up" }).first().waitFor(PATIENT);
  await shot(page, "run-cancelled");
});

await step("a run that ended shows the rows that did not go, by reason, with addresses covered", async () => {
  await page.getByRole("navigation").getByRole("link", { name: "Runs" }).click();
  await page.locator(".rows tbody tr", { has: page.locator("small", { hasText: "turned down" }) }).first().getByRole("link").first().click();
  await page.getByRole("button", { name: "Read the rows" }).click();
  await page.getByRole("group", { name: "By reason" }).waitFor(PATIENT);
  // Some rows have no address at all.
  const address = page.locator("td.email", { hasNot: page.locator(".fine") }).first();
  if ((await address.count()) > 0) {
    must(/^.?•••/.test((await address.textContent()) ?? ""), "covered at first");
    await page.getByRole("button", { name: "Show addresses" }).click();
    must(!/•••/.test((await address.textContent()) ?? "•••"), "shown when asked for");
    await page.getByRole("button", { name: "Cover addresses" }).click();
  }
  if ((await page.locator(".by-reason label").count()) > 2) {
    const all = await page.locator("tbody td.email").count();
    await page.locator(".by-reason input").nth(2).check({ force: true });
    await until(async () => (await page.locator("tbody td.email").count()) < all, "a reason filters the table");
    await page.locator(".by-reason input").first().check({ force: true });
  }
  await page.getByText("Record, batch by batch").click();
  await page.locator("details .rows tbody tr").first().waitFor(PATIENT);
  await shot(page, "run-ended");
});

await step("the audit trail is verified in the browser", async () => {
  await page.getByRole("navigation").getByRole("link", { name: "Audit trail" }).click();
  await page.locator(".entries tbody tr").first().waitFor(PATIENT);
  await page.getByRole("button", { name: "Verify the whole trail" }).click();
  await page.getByText("The trail holds").waitFor({ timeout: 60_000 });
  await page.locator(".entry-mark.signed, .entry-mark.linked").first().waitFor(PATIENT);
  await page.getByText("What this mark means").click();
  await shot(page, "audit");
});

await step("the menu changes language and appearance at once", async () => {
  await page.locator(".menu summary").click();
  await page.locator(".menu").getByLabel("Language").selectOption("pt");
  await page.getByRole("heading", { name: "Auditoria", level: 1 }).waitFor(PATIENT);
  await page.locator(".menu").getByRole("radio", { name: "Escuro" }).check();
  must((await page.locator("html").getAttribute("data-theme")) === "dark", "dark was chosen");
  if (shots) await page.screenshot({ path: join(shots, "menu.png") });
  await page.locator(".menu").getByRole("radio", { name: "Como o sistema" }).check();
  await page.locator(".menu").getByLabel("Idioma").selectOption("en");
  await page.keyboard.press("Escape");
  must(!(await page.locator(".menu").getAttribute("open").then((open) => open !== null)), "Escape shuts the menu");
});

await step("connections and their state", async () => {
  await page.getByRole("navigation").getByRole("link", { name: "Connections" }).click();
  await page.locator("article.connection").first().waitFor(PATIENT);
  await page.getByRole("button", { name: "Verify now" }).first().click();
  await page.getByText("the destination takes the key").waitFor(PATIENT);
  await shot(page, "connections");
});

await step("everything can be reached by keyboard, and the focus is seen", async () => {
  await page.goto(`${door.url}/#/runs`);
  await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENT);
  await page.locator("body").click({ position: { x: 1, y: 400 } });
  const reached = new Set<string>();
  for (let press = 0; press < 40; press += 1) {
    await page.keyboard.press("Tab");
    const here = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement;
      const style = getComputedStyle(element.matches(".segmented input") ? (element.nextElementSibling as Element) : element);
      const name = element === document.body ? "BODY" : element.textContent?.trim().slice(0, 20) || element.getAttribute("aria-label") || element.tagName;
      return { name, seen: style.outlineStyle !== "none" };
    });
    if (here.name !== "BODY") must(here.seen, `no focus is seen on ${here.name}`);
    reached.add(here.name);
  }
  for (const name of ["Exports", "Connections", "Audit trail"]) must(reached.has(name), `${name} was not reached: ${[...reached].join(", ")}`);
});

await step("nothing moves while it loads", async () => {
  const fresh = await newPage(context);
  await fresh.addInitScript(() => {
    (window as never as { shift: number }).shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) (window as never as { shift: number }).shift += entry.value;
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await signIn(fresh, door.url);
  await fresh.waitForTimeout(2_000);
  const shift = await fresh.evaluate(() => (window as never as { shift: number }).shift);
  must(shift < 0.1, `cumulative layout shift ${shift}`);
  await fresh.close();
});

await step("it is readable at 400 px: nothing is wider than the screen", async () => {
  const narrow = await browser.newContext({ viewport: { width: 400, height: 860 }, locale: "de-DE", colorScheme: "dark", reducedMotion: "reduce" });
  const small = await newPage(narrow);
  await small.goto(door.url);
  await shot(small, "sign-in-400-dark-de");
  await small.getByLabel("Zugriffstoken").fill(token);
  await small.getByRole("button", { name: "Anmelden" }).click();
  for (const [hash, name] of [["runs", "runs"], ["exports", "exports"], ["connections", "connections"], ["audit", "audit"]] as const) {
    await small.goto(`${door.url}/#/${hash}`);
    await small.locator("h1").waitFor(PATIENT);
    await small.waitForTimeout(1_200);
    const width = await small.evaluate(() => document.documentElement.scrollWidth);
    must(width <= 400, `${hash} is ${width} px wide`);
    await shot(small, `${name}-400-dark-de`);
  }
  await small.goto(`${door.url}/#/runs`);
  await small.locator(".rows tbody th a").first().click();
  await small.waitForTimeout(1_200);
  must((await small.evaluate(() => document.documentElement.scrollWidth)) <= 400, "a run's page is too wide");
  await shot(small, "run-400-dark-de");
  await narrow.close();
});

const LANGUAGES = [["en-GB", "light"], ["en-GB", "dark"], ["de-DE", "light"], ["pt-PT", "light"], ["pt-PT", "dark"]] as const;
for (const [locale, colorScheme] of LANGUAGES) {
  await step(`pages in ${locale}, ${colorScheme}`, async () => {
    const other = await browser.newContext({ viewport: { width: 1_280, height: 800 }, locale, colorScheme, reducedMotion: "reduce" });
    const seen = await newPage(other);
    await seen.goto(door.url);
    await seen.locator("textarea").waitFor(PATIENT);
    await shot(seen, `sign-in-${locale.slice(0, 2)}-${colorScheme}`);
    await seen.locator("textarea").fill(token);
    await seen.locator("form button").click();
    await seen.locator("h1").waitFor(PATIENT);
    must((await seen.locator("html").getAttribute("lang")) === locale.slice(0, 2), "the page says its language");
    for (const name of ["runs", "exports"]) {
      await seen.goto(`${door.url}/#/${name}`);
      await seen.waitForTimeout(4_000);
      await shot(seen, `${name}-${locale.slice(0, 2)}-${colorScheme}`);
    }
    await other.close();
  });
}

if (fake) await (await import("./fake-only")).run({ browser, door, fake, step, newPage, shot, must, dist });

await step("the browser had nothing to complain of: no error, nothing refused by the content security policy", async () => {
  must(problems.length === 0, [...new Set(problems)].join("\n"));
});

await browser.close();
await door.close();
await fake?.close();
end();
