// The audit trail: the newest checkpoint, a check of the whole trail in the browser, and the entries.

import { useEffect, useRef, useState } from "preact/hooks";
import { Code } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { useApp } from "../app/context";
import { holds } from "../auth/token";
import type { Checkpoint } from "../gen/ferry/v1/audit_pb";
import { useI18n } from "../i18n";
import { canHash } from "../ledger/bytes";
import { fingerprint, parseKey } from "../ledger/note";
import { LogVerifier, type Report } from "../ledger/verify";
import { Icon } from "../ui/icons";
import { Button, Fact, ProblemBox, Title, wordsOf } from "../ui/parts";
import { Entries } from "./entries";

type Check =
  | { at: "idle" }
  | { at: "running"; entries: number }
  | { at: "done"; report: Report }
  | { at: "cut"; problem: Problem };

export function AuditPage() {
  const { session } = useApp();
  const { t } = useI18n();
  const [check, setCheck] = useState<Check>({ at: "idle" });
  const isAdministrator = holds(session.role, "administrator");
  return (
    <>
      <Title>{t("audit.title")}</Title>
      <p class="intro">{t("audit.intro")} {!isAdministrator && t("audit.role")}</p>
      <div class="columns seals">
        <Newest />
        {isAdministrator && <Verify check={check} onCheck={setCheck} />}
      </div>
      {isAdministrator && <Entries report={check.at === "done" ? check.report : undefined} />}
    </>
  );
}

function Newest() {
  const { api, session } = useApp();
  const { t, format } = useI18n();
  const [checkpoint, setCheckpoint] = useState<Checkpoint | null>();
  const [print, setPrint] = useState("");
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    api.audit.getCheckpoint({ parent: `tenants/${session.tenant}` }, UNARY).then(
      async ({ checkpoint }) => {
        setCheckpoint(checkpoint ?? null);
        const key = checkpoint && canHash() ? await parseKey(checkpoint.publicKey) : undefined;
        if (key) setPrint(await fingerprint(key));
      },
      (error) => {
        const found = problemOf(error);
        if (found.code === Code.NotFound) setCheckpoint(null);
        else setProblem(found);
      },
    );
  }, [api, session.tenant]);
  return (
    <section class="panel" aria-labelledby="checkpoint">
      <h2 id="checkpoint">{t("audit.checkpoint")}</h2>
      {problem && <ProblemBox problem={problem} />}
      {checkpoint === null && <p class="fine">{t("audit.noCheckpoint")}</p>}
      <dl class="facts one">
        <Fact name={t("audit.checkpointTime", { when: "" }).trim()}>
          {checkpoint?.createTime ? format.exactTime(timestampMs(checkpoint.createTime)) : "–"}
        </Fact>
        <Fact name={t("nav.audit")}>{checkpoint ? t("audit.checkpointCovers", { n: format.number(Number(checkpoint.entries)) }) : "–"}</Fact>
        <Fact name={t("audit.key")}><code class="print">{print || "–"}</code></Fact>
      </dl>
    </section>
  );
}

function Verify({ check, onCheck }: { check: Check; onCheck: (check: Check) => void }) {
  const { api, session } = useApp();
  const i18n = useI18n();
  const { t, format } = i18n;
  const stop = useRef<AbortController>();
  useEffect(() => () => stop.current?.abort(), []);

  const run = async (): Promise<void> => {
    const abort = new AbortController();
    stop.current = abort;
    const verifier = new LogVerifier();
    onCheck({ at: "running", entries: 0 });
    let drawn = 0;
    try {
      for await (const item of api.audit.exportAuditLog({ parent: `tenants/${session.tenant}` }, { signal: abort.signal })) {
        await verifier.add(item);
        const { bad, entries, runEntries } = verifier.progress();
        if (bad) break;
        if (performance.now() - drawn > 200) {
          drawn = performance.now();
          onCheck({ at: "running", entries: entries + runEntries });
        }
      }
      onCheck({ at: "done", report: { ...verifier.finish() } });
    } catch (error) {
      onCheck(abort.signal.aborted ? { at: "idle" } : { at: "cut", problem: problemOf(error) });
    }
    abort.abort();
  };

  return (
    <section class="panel verify" aria-labelledby="verify">
      <h2 id="verify" class="unseen">{t("audit.verify")}</h2>
      <div class="verdict" role="status">
        {check.at === "idle" && <Seal tone="idle" title={t("audit.mark.none")} />}
        {check.at === "running" && <Seal tone="busy" title={t("audit.verifying", { n: format.number(check.entries) })} />}
        {check.at === "cut" && <Seal tone="warn" title={t("audit.cutOff", { why: wordsOf(check.problem, i18n) })} />}
        {check.at === "done" && <Verdict report={check.report} />}
      </div>
      <p>
        {check.at === "running"
          ? <Button onClick={() => stop.current?.abort()}>{t("audit.stop")}</Button>
          : <Button kind="primary" disabled={!canHash()} onClick={() => void run()}>{t(check.at === "idle" ? "audit.verify" : "audit.verifyAgain")}</Button>}
      </p>
      {!canHash() && <p class="fine">{t("audit.noHash")}</p>}
      <details>
        <summary>{t("audit.means")}</summary>
        <p class="fine">{t("audit.meansText")}</p>
        {check.at === "done" && check.report.key && <Compare signed={check.report.key} />}
      </details>
    </section>
  );
}

function Seal({ tone, title, children }: { tone: "idle" | "busy" | "good" | "warn" | "bad"; title: string; children?: preact.ComponentChildren }) {
  const icon = { idle: "audit", busy: "audit", good: "check", warn: "alert", bad: "cross" } as const;
  return (
    <div class={`seal ${tone}`}>
      <Icon name={icon[tone]} />
      <div>
        <h3>{title}</h3>
        {children}
      </div>
    </div>
  );
}

function Verdict({ report }: { report: Report }) {
  const { t, count, format } = useI18n();
  if (report.bad) {
    const { fault, where, number } = report.bad;
    const what = t("audit.badAt", { what: t(`audit.fault.${fault}`), where, number: format.number(Number(number)) });
    return <Seal tone="bad" title={t("audit.bad")}><p>{what}</p></Seal>;
  }
  const signed = report.signature === "good";
  const newer = report.entries - Number(report.covered);
  return (
    <Seal tone={signed ? "good" : "warn"} title={t(signed ? "audit.good" : "audit.goodNoEd")}>
      <p>
        {t("audit.goodText", {
          n: format.number(report.entries + report.runEntries),
          runs: format.number(report.runs),
          checkpoints: format.number(report.checkpoints),
          covered: format.number(Number(report.covered)),
        })}
        {!signed && ` ${t("audit.noEd")}`}
        {newer > 0 && ` ${count("audit.newer", newer)}`}
        {report.redacted > 0 && ` ${count("audit.redacted", report.redacted)}`}
      </p>
    </Seal>
  );
}

function Compare({ signed }: { signed: string }) {
  const { t } = useI18n();
  const [own, setOwn] = useState("");
  const entered = own.trim();
  return (
    <div class="stack">
      <p class="fine"><code class="key">{signed}</code></p>
      <label class="field">
        <span>{t("audit.trusted")}</span>
        <input value={own} spellcheck={false} autocomplete="off" onInput={(event) => setOwn(event.currentTarget.value)} />
      </label>
      <p role="status" class={entered === signed ? "right" : "wrong"}>
        {entered !== "" && t(entered === signed ? "audit.trustedSame" : "audit.trustedOther")}
      </p>
    </div>
  );
}
