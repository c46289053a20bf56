// What a person can do: start, cancel and approve a run. Each asks once more, and each keeps its request id for a repeat.

import { useRef, useState } from "preact/hooks";
import { Code } from "@connectrpc/connect";
import { useApp } from "../app/context";
import { runHref } from "../app/route";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { holds } from "../auth/token";
import type { Export } from "../gen/ferry/v1/export_pb";
import { type Run, Run_State as State } from "../gen/ferry/v1/run_pb";
import { useI18n } from "../i18n";
import { progressOf } from "../model/account";
import { isRunName, lastPart } from "../model/names";
import { Button, Dialog, wordsOf } from "../ui/parts";

/** Makes one write: the same id for each try of it, so that a try whose answer was lost is not made twice. */
function useWrite(write: (requestId: string) => Promise<void>) {
  const id = useRef(crypto.randomUUID?.() ?? "");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const go = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await write(id.current);
    } catch (error) {
      const found = problemOf(error);
      setProblem(found);
      // What was refused outright was not done; with another choice it is another write.
      if (found.code !== Code.Unavailable && found.code !== Code.DeadlineExceeded) id.current = crypto.randomUUID?.() ?? "";
    }
    setBusy(false);
  };
  return { go, busy, problem };
}

function Refusal({ problem }: { problem: Problem }) {
  const i18n = useI18n();
  const run = problem.reason === "RUN_IN_PROGRESS" && problem.resource && isRunName(problem.resource) ? problem.resource : undefined;
  return (
    <p class="box bad" role="alert">
      {wordsOf(problem, i18n)} {run && <a href={runHref(run)}>{i18n.t("start.open")}</a>}
      {problem.message && !run && <span class="fine" lang="en">{problem.message}</span>}
    </p>
  );
}

type Kind = "changes" | "full" | "plan";

export function StartDialog({ found, onClose }: { found: Export; onClose: () => void }) {
  const { api, live, say } = useApp();
  const { t, format } = useI18n();
  const [kind, setKind] = useState<Kind>("changes");
  const { go, busy, problem } = useWrite(async (requestId) => {
    const { run } = kind === "plan"
      ? await api.exports.planExport({ name: found.name, requestId }, UNARY)
      : await api.exports.runExport({ name: found.name, requestId, fullResync: kind === "full" }, UNARY);
    live.put(run);
    say(t("start.started", { export: found.displayName }), "good", run && { href: runHref(run.name), text: t("start.open") });
    onClose();
  });
  const settings = found.settings?.settings;
  const list = settings?.case === "activecampaign" ? settings.value.listId : "";
  const kinds: [Kind, string][] = [["changes", t("start.changes")], ["full", t("start.full")], ["plan", t("start.plan")]];
  return (
    <Dialog title={t("start.title", { export: found.displayName })} onClose={onClose}>
      <p>
        {t("start.text", {
          segments: new Intl.ListFormat(document.documentElement.lang).format(found.segments.map(lastPart)),
          list: list || format.number(0),
          connection: lastPart(found.connection),
        })}
      </p>
      <fieldset class="choices">
        <legend>{t("start.kind")}</legend>
        {kinds.map(([value, text]) => (
          <label key={value}>
            <input type="radio" name="kind" checked={kind === value} onChange={() => setKind(value)} />
            <span>{text}{value === "full" && <small>{t("start.fullHint")}</small>}</span>
          </label>
        ))}
      </fieldset>
      {problem && <Refusal problem={problem} />}
      <footer>
        <Button onClick={onClose}>{t("dialog.back")}</Button>
        <Button kind="primary" disabled={busy} onClick={() => void go()}>{t(kind === "plan" ? "start.goPlan" : "start.go")}</Button>
      </footer>
    </Dialog>
  );
}

export function CancelDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const { api, live, say } = useApp();
  const { t, format } = useI18n();
  const name = live.exportName(run.export);
  const { go, busy, problem } = useWrite(async (requestId) => {
    live.put((await api.runs.cancelRun({ name: run.name, requestId }, UNARY)).run);
    say(t("cancel.done", { export: name }));
    onClose();
  });
  return (
    <Dialog title={t("cancel.title", { export: name })} onClose={onClose}>
      <p>{t("cancel.text", { n: format.number(progressOf(run.counts).sent) })}</p>
      {problem && <Refusal problem={problem} />}
      <footer>
        <Button onClick={onClose}>{t("cancel.keep")}</Button>
        <Button kind="danger" disabled={busy} onClick={() => void go()}>{t("cancel.go")}</Button>
      </footer>
    </Dialog>
  );
}

export function ApproveDialog({ run, onClose }: { run: Run; onClose: () => void }) {
  const { api, live, say } = useApp();
  const { t } = useI18n();
  const name = live.exportName(run.export);
  const { go, busy, problem } = useWrite(async (requestId) => {
    live.put((await api.runs.approveRun({ name: run.name, etag: run.etag, requestId }, UNARY)).run);
    say(t("approve.done", { export: name }), "good");
    onClose();
  });
  return (
    <Dialog title={t("approve.title", { export: name })} onClose={onClose}>
      <p>{t("approve.text")}</p>
      <ul class="reasons" lang="en">{run.approval?.reasons.map((reason) => <li key={reason}>{reason}</li>)}</ul>
      <PlanFacts run={run} />
      {problem && <Refusal problem={problem} />}
      <footer>
        <Button onClick={onClose}>{t("dialog.back")}</Button>
        <Button kind="primary" disabled={busy} onClick={() => void go()}>{t("approve.go")}</Button>
      </footer>
    </Dialog>
  );
}

export function PlanFacts({ run }: { run: Run }) {
  const { t, format } = useI18n();
  const plan = run.planSummary;
  if (!plan) return null;
  return (
    <dl class="numbers">
      <div><dt>{t("run.adds")}</dt><dd>{format.number(Number(plan.adds))}</dd></div>
      <div><dt>{t("run.changes")}</dt><dd>{format.number(Number(plan.changes))}</dd></div>
      <div><dt>{t("run.planRemovals")}</dt><dd>{format.number(Number(plan.removals))}</dd></div>
      <div><dt>{t("run.refusals")}</dt><dd>{format.number(Number(plan.refusals))}</dd></div>
    </dl>
  );
}

/** The buttons that fit a run and whoever looks at it. A call that is bound to be refused is not offered: it would go on record. */
export function RunActions({ run }: { run: Run }) {
  const { live, session } = useApp();
  const { t } = useI18n();
  const [open, setOpen] = useState<"cancel" | "approve">();
  const found = live.snapshot.get().exports.get(run.export);
  const name = live.exportName(run.export);
  const canCancel = (found?.permissions?.canRun ?? holds(session.role, "administrator")) && run.state !== State.CANCELLING && !run.endTime;
  const canApprove = run.state === State.AWAITING_APPROVAL && holds(session.role, "administrator") && run.startedBy !== session.claims.subject;
  const close = () => setOpen(undefined);
  return (
    <>
      {canApprove && <Button kind="primary" onClick={() => setOpen("approve")}>{t("runs.approve")}</Button>}
      {canCancel && <Button label={`${t("runs.cancel")}: ${name}`} onClick={() => setOpen("cancel")}>{t("runs.cancel")}</Button>}
      {open === "cancel" && <CancelDialog run={run} onClose={close} />}
      {open === "approve" && <ApproveDialog run={run} onClose={close} />}
    </>
  );
}
