// Checks that need a state which only the fake server has at hand: a run that failed, one that is held, a tenant without
// anything, each role, and an issuer.

import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Fake, startFake } from "../dev/fake";
import { token as makeToken } from "../dev/tokens";
import type { Door } from "./proxy";

interface Tools {
  browser: Browser;
  door: Door;
  fake: Fake;
  dist: string;
  step(name: string, run: () => Promise<void>): Promise<void>;
  newPage(context: BrowserContext): Promise<Page>;
  shot(page: Page, name: string): Promise<void>;
  must(holds: unknown, what: string): asserts holds;
}

const PATIENT = { timeout: 60_000 };

export async function run(tools: Tools): Promise<void> {
  const { browser, door, dist, step, newPage, shot } = tools;
  const must: Tools["must"] = tools.must;
  const context = () => browser.newContext({ viewport: { width: 1_280, height: 800 }, locale: "en-GB", colorScheme: "light", reducedMotion: "reduce" });
  const enter = async (page: Page, token: string, at = door.url): Promise<void> => {
    await page.goto(at);
    await page.getByLabel("Access token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENT);
  };
  const administrator = makeToken("maria.santos@acme.example", { acme: "administrator", quiet: "administrator" });

  await step("a run that failed says what, and who can mend it", async () => {
    const page = await newPage(await context());
    await enter(page, administrator);
    await page.locator(".rows tbody tr", { hasText: "Failed" }).first().getByRole("link").click();
    await page.getByText("The list does not exist at the destination").waitFor(PATIENT);
    await page.getByText("Whoever set up the connection").waitFor(PATIENT);
    await shot(page, "run-failed");
    await page.context().close();
  });

  await step("another administrator than the one who started it approves a held run", async () => {
    const page = await newPage(await context());
    await enter(page, makeToken("joao.silva@acme.example", { acme: "administrator" }));
    await page.locator("article.going", { hasText: "Birthday club" }).getByRole("link").first().click();
    await page.getByText("You started this run").waitFor(PATIENT);
    must((await page.getByRole("button", { name: "Approve" }).count()) === 0, "one's own run cannot be approved");
    await page.context().close();
    const other = await newPage(await context());
    await enter(other, administrator);
    await other.locator("article.going", { hasText: "Birthday club" }).getByRole("link").first().click();
    await other.getByText("A guard holds this run").waitFor(PATIENT);
    await shot(other, "run-held");
    await other.getByRole("button", { name: "Approve" }).click();
    await shot(other, "approve");
    await other.getByRole("button", { name: "Approve and send" }).click();
    await other.getByText("goes on.").first().waitFor(PATIENT);
    await other.context().close();
  });

  await step("an export says by what it runs, and when it does next", async () => {
    const page = await newPage(await context());
    await enter(page, administrator);
    await page.getByRole("link", { name: "Exports", exact: true }).click();
    const next = async (name: string): Promise<string> => {
      const cell = page.locator(".rows.exports tbody tr", { hasText: name }).locator('td[data-label="Next run"]');
      return (await cell.innerText(PATIENT)).replace(/\s+/g, " ");
    };
    const time = String.raw`\d{1,2} \w+ \d{4}, \d{2}:\d{2}`;
    for (const [name, expected] of [
      ["Newsletter readers", `^${time} With the refresh of the segments$`],
      ["Birthday club", String.raw`^${time} 0 6 \* \* 1 \(Europe/Lisbon\)$`],
      ["VIP Lisbon", "^On demand only$"],
      ["Lapsed customers 2024", "^Not planned$"],
    ] as const) {
      const found = await next(name);
      must(new RegExp(expected).test(found), `${name}: ${found}`);
    }
    must((await page.getByText("does not carry out schedules").count()) === 0, "schedules are carried out");
    await page.context().close();
  });

  await step("a tenant without anything is told what to do", async () => {
    const page = await newPage(await context());
    await enter(page, makeToken("maria.santos@acme.example", { quiet: "administrator" }));
    await page.getByText("Nothing is under way").waitFor(PATIENT);
    await page.waitForTimeout(500);
    await shot(page, "empty-runs");
    await page.getByRole("link", { name: "Exports", exact: true }).click();
    await page.getByText("There are no exports").waitFor(PATIENT);
    await shot(page, "empty-exports");
    await page.context().close();
  });

  await step("a viewer is offered nothing that would be refused", async () => {
    const page = await newPage(await context());
    const refused: string[] = [];
    page.on("response", (response) => {
      if (response.headers()["grpc-status"] === "7") refused.push(response.url());
    });
    await enter(page, makeToken("vera@acme.example", { acme: "viewer" }));
    for (const name of ["Exports", "Connections", "Audit trail"]) {
      await page.getByRole("link", { name, exact: true }).click();
      await page.waitForTimeout(600);
      must((await page.getByRole("button", { name: /Run:|Verify|Cancel|Approve/ }).count()) === 0, `${name} offers something`);
    }
    await shot(page, "viewer-audit");
    must(refused.length === 0, `refused: ${refused.join(", ")}`);
    await page.context().close();
  });

  await step("signs in at an issuer: authorisation code with PKCE, and no token in the address", async () => {
    const secured = await startFake({ dist, oidc: true });
    const page = await newPage(await context());
    await page.goto(secured.url);
    await shot(page, "sign-in-oidc");
    await page.getByRole("button", { name: "Sign in with your organisation" }).click();
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENT);
    must(page.url() === `${secured.url}/#/runs` || page.url() === `${secured.url}/`, page.url());
    await page.reload();
    await page.getByRole("heading", { name: "Runs", level: 1 }).waitFor(PATIENT);
    await page.goto(`${secured.url}/?code=stolen&state=other`);
    await page.getByText("The sign-in did not work").waitFor(PATIENT);
    await page.context().close();
    await secured.close();
  });
}
