// One run: where it stands, its account, its batches, what went wrong, and the rows that did not go.

import { useEffect, useState } from "preact/hooks";
import { Code } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Problem, problemOf } from "../api/details";
import { isOver } from "../api/feed";
import { useApp } from "../app/context";
import { useNow, useStore } from "../app/store";
import { holds } from "../auth/token";
import {
  type Run, RunError_Culprit as Culprit, RunError_Severity as Severity, Run_State as State, Run_Trigger as Trigger,
} from "../gen/ferry/v1/run_pb";
import type { Key } from "../i18n/en";
import { useI18n } from "../i18n";
import { membersOf, progressOf, removalsOf, type Sum } from "../model/account";
import { Bar, Share } from "../ui/bar";
import { Icon } from "../ui/icons";
import { Fact, Mark, Phases, ProblemBox, StateMark, Title, Waiting } from "../ui/parts";
import { PlanFacts, RunActions } from "./actions";
import { Batches } from "./batches";
import { Rejected } from "./rejected";
import { Numbers, Pace, PAUSES, took } from "./runs";

const TRIGGERS: Record<Trigger, Key> = {
  [Trigger.UNSPECIFIED]: "trigger.unspecified",
  [Trigger.ON_DEMAND]: "trigger.onDemand",
  [Trigger.SCHEDULE]: "trigger.schedule",
  [Trigger.REFRESH]: "trigger.refresh",
  [Trigger.RETRACTION]: "trigger.retraction",
  [Trigger.ERASURE]: "trigger.erasure",
};
const CULPRITS: Record<Culprit, Key> = {
  [Culprit.UNSPECIFIED]: "culprit.unspecified",
  [Culprit.SYSTEM]: "culprit.system",
  [Culprit.USER]: "culprit.user",
  [Culprit.DESTINATION]: "culprit.destination",
};
const SEVERITIES: Record<Severity, Key> = {
  [Severity.UNSPECIFIED]: "severity.unspecified",
  [Severity.WARNING]: "severity.warning",
  [Severity.TEMPORARY]: "severity.temporary",
  [Severity.PERMANENT]: "severity.permanent",
};

export function RunPage({ name }: { name: string }) {
  const { live } = useApp();
  const { t } = useI18n();
  useStore(live.snapshot);
  const [problem, setProblem] = useState<Problem>();
  const run = live.run(name);
  const read = (): void => {
    setProblem(undefined);
    live.readRun(name).catch((error) => setProblem(problemOf(error)));
  };
  useEffect(read, [name]);
  const exportName = live.exportName(name.split("/").slice(0, 4).join("/"));
  return (
    <>
      <p class="back"><a href="#/runs"><Icon name="back" />{t("run.back")}</a></p>
      <Title aside={run && <div class="actions"><RunActions run={run} /></div>}>{t("run.title", { export: exportName })}</Title>
      {run
        ? <Whole run={run} />
        : problem
          ? problem.code === Code.NotFound || problem.code === Code.InvalidArgument
            ? <p class="box warn">{t("run.notFound")}</p>
            : <ProblemBox problem={problem} onRetry={read} />
          : <div class="panel"><Waiting rows={6} /></div>}
    </>
  );
}

function Whole({ run }: { run: Run }) {
  const { live } = useApp();
  const { t, format } = useI18n();
  const now = useNow();
  const name = live.exportName(run.export);
  return (
    <>
      <section class="panel run-head" aria-label={t("runs.col.state")}>
        <header>
          <StateMark state={run.state} />
          {run.dryRun && <Mark tone="idle" icon="dots">{t("runs.plan")}</Mark>}
          {(run.state === State.PROCESSING || run.state === State.CANCELLING || run.state === State.PAUSED) && <Phases phase={run.phase} />}
        </header>
        {run.state === State.PAUSED && (
          <p class="box warn">
            {t(PAUSES[run.pauseReason] ?? "pause.unspecified")}
            {run.resumeTime && ` ${t("pause.resume", { when: format.ago(timestampMs(run.resumeTime), now) })}`}
          </p>
        )}
        <Bar progress={progressOf(run.counts)} label={t("runs.progress", { export: name })} waiting={run.state === State.PROCESSING} />
        <div class="run-numbers">
          <Numbers run={run} />
          {!isOver(run) && <Pace run={run} />}
        </div>
        <Times run={run} />
      </section>
      {run.state === State.AWAITING_APPROVAL && run.approval && <Held run={run} />}
      {run.error && <Failure run={run} />}
      {run.warnings.length > 0 && (
        <section class="panel" aria-labelledby="warnings">
          <h2 id="warnings">{t("run.warnings")}</h2>
          <ul class="reasons" lang="en">{run.warnings.map((warning) => <li key={warning}>{warning}</li>)}</ul>
        </section>
      )}
      <div class="columns">
        <Account run={run} />
        <div>
          {run.planSummary && (
            <section class="panel" aria-labelledby="plan">
              <h2 id="plan">{t("run.plan")}</h2>
              <p class="fine">{t("run.planIntro")}</p>
              <PlanFacts run={run} />
            </section>
          )}
          <section class="panel" aria-labelledby="batches">
            <h2 id="batches">{t("run.batches")}</h2>
            {run.batchesTotal > 0n
              ? (
                <>
                  <p class="sent"><strong>{t("run.batchesSettled", { settled: format.number(Number(run.batchesSettled)), total: format.number(Number(run.batchesTotal)) })}</strong></p>
                  <Share name="batches" value={Number(run.batchesSettled)} total={Number(run.batchesTotal)} />
                </>
              )
              : <p class="fine">{t(isOver(run) ? "run.batchesEmpty" : "run.batchesNone")}</p>}
          </section>
        </div>
      </div>
      <Rejected key={`${run.name} ${isOver(run)}`} run={run} />
      {run.batchesTotal > 0n && <Batches run={run} />}
    </>
  );
}

function Times({ run }: { run: Run }) {
  const { t, format } = useI18n();
  const duration = took(run);
  return (
    <dl class="facts">
      <Fact name={t("run.trigger")}>{t(TRIGGERS[run.trigger] ?? "trigger.unspecified")}</Fact>
      <Fact name={t("run.by")}>{run.startedBy || "–"}</Fact>
      <Fact name={t("run.asked")}>{run.createTime ? format.time(timestampMs(run.createTime)) : "–"}</Fact>
      <Fact name={t("run.began")}>{run.startTime ? format.time(timestampMs(run.startTime)) : "–"}</Fact>
      {run.endTime
        ? <Fact name={t("run.ended")}>{format.time(timestampMs(run.endTime))}</Fact>
        : <Fact name={t("run.estimated")}>{run.estimatedEndTime ? format.time(timestampMs(run.estimatedEndTime)) : "–"}</Fact>}
      {duration !== undefined && <Fact name={t("run.took")}>{format.duration(duration)}</Fact>}
      {run.approval?.approveTime && (
        <Fact name={t("state.awaitingApproval")}>
          {t("run.approvedBy", { who: run.approval.approvedBy, when: format.time(timestampMs(run.approval.approveTime)) })}
        </Fact>
      )}
    </dl>
  );
}

function Held({ run }: { run: Run }) {
  const { session } = useApp();
  const { t, format } = useI18n();
  const own = run.startedBy === session.claims.subject;
  const expires = run.approval?.expireTime;
  return (
    <section class="box warn held" aria-labelledby="held">
      <Icon name="hand" />
      <div>
        <h2 id="held">{t("run.approval")}</h2>
        <ul class="reasons" lang="en">{run.approval?.reasons.map((reason) => <li key={reason}>{reason}</li>)}</ul>
        <p>{t("run.approvalText", { when: expires ? format.time(timestampMs(expires)) : "–" })}</p>
        {own ? <p>{t("run.approvalOwn")}</p> : !holds(session.role, "administrator") && <p>{t("run.approvalRole")}</p>}
      </div>
    </section>
  );
}

function Failure({ run }: { run: Run }) {
  const { t, reason } = useI18n();
  const error = run.error;
  if (!error) return null;
  const severity = SEVERITIES[error.severity];
  return (
    <section class={`box ${run.state === State.FAILED || run.state === State.TIMED_OUT ? "bad" : "warn"} failure`} aria-labelledby="failure">
      <Icon name="alert" />
      <div>
        <h2 id="failure">{t("run.errorTitle")}</h2>
        <p class="plain">{reason(error.reason) ?? error.status?.message} {severity && t(severity)}</p>
        <dl class="facts">
          <Fact name={t("culprit.label")}><strong>{t(CULPRITS[error.culprit] ?? "culprit.unspecified")}</strong></Fact>
          <Fact name={t("run.reason")}><code>{error.reason}</code></Fact>
          {error.status?.message && <Fact name={t("run.errorServer")}><span lang="en">{error.status.message}</span></Fact>}
        </dl>
      </div>
    </section>
  );
}

function Account({ run }: { run: Run }) {
  const { t } = useI18n();
  const { counts } = run;
  if (!counts) return null;
  const over = isOver(run);
  return (
    <section class="panel" aria-labelledby="account">
      <h2 id="account">{t("run.account")}</h2>
      <p class="fine">{t("run.accountIntro")}</p>
      <SumTable sum={membersOf(counts)} title={t("run.members")} over={over} />
      {counts.removals > 0n && (
        <>
          <p class="fine">{t("run.removalsIntro")}</p>
          <SumTable sum={removalsOf(counts)} title={t("run.removals")} over={over} />
        </>
      )}
    </section>
  );
}

/** Lines that must always be seen; the others only where somebody is in them. */
const ALWAYS = new Set(["confirmed", "refused", "rejected", "removalsConfirmed"]);

function SumTable({ sum, title, over }: { sum: Sum<string>; title: string; over: boolean }) {
  const { t, term, format } = useI18n();
  const lines = sum.terms.filter(({ name, value }) => value > 0 || ALWAYS.has(name));
  const right = sum.difference === 0;
  return (
    <table class="account">
      <thead>
        <tr>
          <th scope="row">{title}</th>
          <td class="number">{format.number(sum.total)}</td>
          <td class="sum">
            {right
              ? <Mark tone="good" icon="check">{t(over ? "run.addsUp" : "run.addsUpLive")}</Mark>
              : <span title={over ? undefined : t("run.noSumHint")}><Mark tone={over ? "bad" : "idle"} icon={over ? "cross" : "dots"}>{t("run.noSum", { n: format.number(sum.difference) })}</Mark></span>}
          </td>
        </tr>
      </thead>
      <tbody>
        {lines.map(({ name, value }, place) => (
          <tr key={name}>
            <th scope="row"><i aria-hidden="true">{place === 0 ? "=" : "+"}</i>{term(over && (name === "notSent" || name === "removalsNotSent") ? `${name}Over` : name)}</th>
            <td class="number">{format.number(value)}</td>
            <td><Share name={name} value={value} total={sum.total} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
