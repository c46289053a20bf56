// The tenant's runs: what goes on, and what has ended.

import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isOver } from "../api/feed";
import { useApp } from "../app/context";
import { runHref } from "../app/route";
import { useNow, useStore } from "../app/store";
import { type Run, Run_PauseReason as PauseReason, Run_State as State } from "../gen/ferry/v1/run_pb";
import type { Key } from "../i18n/en";
import { useI18n } from "../i18n";
import { progressOf } from "../model/account";
import { timeLeft } from "../model/rate";
import { Bar } from "../ui/bar";
import { RateChart } from "../ui/chart";
import { Button, Empty, Mark, Phases, ProblemBox, StateMark, Title, Waiting } from "../ui/parts";
import { RunActions } from "./actions";

export const PAUSES: Record<PauseReason, Key> = {
  [PauseReason.UNSPECIFIED]: "pause.unspecified",
  [PauseReason.CREDENTIALS]: "pause.credentials",
  [PauseReason.ACCOUNT]: "pause.account",
  [PauseReason.RETRY_AFTER]: "pause.retryAfter",
};

export function RunsPage() {
  const { live } = useApp();
  const { t } = useI18n();
  const { going, ended, runsRead, moreRuns, problem } = useStore(live.snapshot);
  return (
    <>
      <Title>{t("nav.runs")}</Title>
      {problem && <ProblemBox problem={problem} onRetry={() => { live.retry(); void live.readRuns(); void live.readExports(); }} />}
      <RateChart />
      <section aria-labelledby="going">
        <h2 id="going">{t("runs.going")} {going.length > 0 && <span class="count">{going.length}</span>}</h2>
        <div class="panel list">
          {going.length > 0
            ? going.map((run) => <GoingRun key={run.name} run={run} />)
            : runsRead
              ? <Empty title={t("runs.none.title")} action={<a class="button" href="#/exports">{t("runs.none.action")}</a>}>{t("runs.none.text")}</Empty>
              : <Waiting rows={2} tall />}
        </div>
      </section>
      <section aria-labelledby="ended">
        <h2 id="ended">{t("runs.recent")}</h2>
        <div class="panel">
          {ended.length > 0 ? <EndedRuns runs={ended} /> : runsRead ? <p class="none">{t("runs.noneEnded")}</p> : <Waiting rows={5} />}
          {moreRuns && <div class="more"><Button onClick={() => void live.readRuns()}>{t("runs.more")}</Button></div>}
        </div>
      </section>
    </>
  );
}

/** What is worth knowing of a run that goes on, in four numbers at most. */
export function Pace({ run }: { run: Run }) {
  const { live } = useApp();
  const { t, format } = useI18n();
  const now = useNow();
  const progress = progressOf(run.counts);
  const rate = run.state === State.PROCESSING ? live.perMinute(run, now) : undefined;
  const left = run.state === State.PROCESSING
    ? timeLeft(progress.total - progress.sent, rate, run.estimatedEndTime && timestampMs(run.estimatedEndTime), now)
    : undefined;
  return (
    <dl class="pace">
      <div>
        <dt>{t("runs.rate")}</dt>
        <dd>{rate === undefined ? "–" : t("runs.perMinute", { n: format.number(rate) })}</dd>
      </div>
      <div>
        <dt>{t("runs.left")}</dt>
        <dd title={left && t(left.by === "pace" ? "runs.leftPace" : "runs.leftEstimate")}>
          {left ? t("runs.leftAbout", { duration: format.duration(left.ms) }) : "–"}
        </dd>
      </div>
    </dl>
  );
}

export function Numbers({ run }: { run: Run }) {
  const { t, format } = useI18n();
  const { total, sent, settled } = progressOf(run.counts);
  if (total === 0) return <p class="sent">{t(isOver(run) ? "run.batchesEmpty" : "runs.unknownYet")}</p>;
  return (
    <p class="sent">
      <strong>{t("runs.sentOf", { sent: format.number(sent), total: format.number(total) })}</strong>
      <span>{t("runs.settledOf", { n: format.number(settled) })}</span>
    </p>
  );
}

function GoingRun({ run }: { run: Run }) {
  const { live } = useApp();
  const { t, format } = useI18n();
  const now = useNow();
  const name = live.exportName(run.export);
  const progress = progressOf(run.counts);
  return (
    <article class="going" aria-label={name}>
      <header>
        <h3><a href={runHref(run.name)}>{name}</a></h3>
        <StateMark state={run.state} />
        {run.dryRun && <Mark tone="idle" icon="dots">{t("runs.plan")}</Mark>}
        <span class="fine">
          {run.startedBy}{run.createTime && `, ${format.ago(timestampMs(run.createTime), now)}`}
        </span>
      </header>
      <div class="going-main">
        <Bar progress={progress} label={t("runs.progress", { export: name })} waiting={run.state === State.PROCESSING} />
        <Numbers run={run} />
      </div>
      <Pace run={run} />
      <div class="actions"><RunActions run={run} /></div>
      {run.state === State.PAUSED
        ? (
          <p class="fine pause">
            {t(PAUSES[run.pauseReason] ?? "pause.unspecified")}
            {run.resumeTime && ` ${t("pause.resume", { when: format.ago(timestampMs(run.resumeTime), now) })}`}
          </p>
        )
        : run.state === State.AWAITING_APPROVAL
          ? <p class="fine pause" lang="en">{run.approval?.reasons[0]}</p>
          : <Phases phase={run.phase} />}
    </article>
  );
}

export function took(run: Run): number | undefined {
  return run.startTime && run.endTime ? timestampMs(run.endTime) - timestampMs(run.startTime) : undefined;
}

function EndedRuns({ runs }: { runs: Run[] }) {
  const { live } = useApp();
  const { t, format } = useI18n();
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{t("runs.col.export")}</th>
          <th scope="col">{t("runs.col.state")}</th>
          <th scope="col" class="number">{t("runs.col.people")}</th>
          <th scope="col" class="number">{t("runs.col.took")}</th>
          <th scope="col">{t("runs.col.began")}</th>
          <th scope="col">{t("runs.col.by")}</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => {
          const duration = took(run);
          const refused = Number((run.counts?.refused ?? 0n) + (run.counts?.rejected ?? 0n));
          return (
            <tr key={run.name}>
              <th scope="row"><a href={runHref(run.name)}>{live.exportName(run.export)}</a>{run.dryRun && <small>{t("runs.plan")}</small>}</th>
              <td data-label={t("runs.col.state")}><StateMark state={run.state} /></td>
              <td class="number" data-label={t("runs.col.people")}>
                {format.number(Number(run.counts?.confirmed ?? 0n))}
                {refused > 0 && <small>{t("exports.refused", { n: format.number(refused) })}</small>}
              </td>
              <td class="number" data-label={t("runs.col.took")}>{duration === undefined ? "–" : format.duration(duration)}</td>
              <td data-label={t("runs.col.began")}>{run.createTime ? format.time(timestampMs(run.createTime)) : "–"}</td>
              <td data-label={t("runs.col.by")} class="who">{run.startedBy}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
