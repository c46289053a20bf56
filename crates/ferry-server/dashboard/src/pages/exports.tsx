// The exports: what goes where, how it went last, and when it goes next.

import { useState } from "preact/hooks";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isOver } from "../api/feed";
import { useApp } from "../app/context";
import { runHref } from "../app/route";
import { useStore } from "../app/store";
import type { Export } from "../gen/ferry/v1/export_pb";
import type { Run } from "../gen/ferry/v1/run_pb";
import { useI18n } from "../i18n";
import { lastPart } from "../model/names";
import { Button, Empty, ProblemBox, StateMark, Title, Waiting } from "../ui/parts";
import { StartDialog } from "./actions";

export function ExportsPage() {
  const { live } = useApp();
  const { t } = useI18n();
  const { exports, exportsRead, moreExports, going, ended, problem } = useStore(live.snapshot);
  const [starting, setStarting] = useState<Export>();
  const list = [...exports.values()];
  const newest = (found: Export): Run | undefined =>
    going.find((run) => run.export === found.name && !run.dryRun) ??
    ended.find((run) => run.export === found.name && !run.dryRun) ??
    found.latestRunSummary;
  return (
    <>
      <Title>{t("exports.title")}</Title>
      {problem && <ProblemBox problem={problem} onRetry={() => void live.readExports()} />}
      <div class="panel">
        {list.length > 0
          ? (
            <table class="rows exports">
              <thead>
                <tr>
                  <th scope="col">{t("exports.col.name")}</th>
                  <th scope="col">{t("exports.col.to")}</th>
                  <th scope="col">{t("exports.col.last")}</th>
                  <th scope="col">{t("exports.col.next")}</th>
                  <th scope="col"><span class="unseen">{t("exports.col.action")}</span></th>
                </tr>
              </thead>
              <tbody>
                {list.map((found) => (
                  <ExportRow key={found.name} found={found} run={newest(found)} onStart={() => setStarting(found)} />
                ))}
              </tbody>
            </table>
          )
          : exportsRead ? <Empty title={t("exports.none.title")}>{t("exports.none.text")}</Empty> : <Waiting rows={5} />}
        {moreExports && <div class="more"><Button onClick={() => void live.readExports()}>{t("exports.more")}</Button></div>}
      </div>
      {starting && <StartDialog found={starting} onClose={() => setStarting(undefined)} />}
    </>
  );
}

function ExportRow({ found, run, onStart }: { found: Export; run: Run | undefined; onStart: () => void }) {
  const { t, count, format } = useI18n();
  const settings = found.settings?.settings;
  const list = settings?.case === "activecampaign" ? settings.value.listId : "";
  const time = run && timestampMs(run.endTime ?? run.createTime ?? { seconds: 0n, nanos: 0, $typeName: "google.protobuf.Timestamp" });
  return (
    <tr>
      <th scope="row">{found.displayName}<small>{count("exports.segments", found.segments.length)}</small></th>
      <td data-label={t("exports.col.to")}>
        {found.connection ? lastPart(found.connection) : t("exports.detached")}
        {list && <small>{t("exports.list", { id: list })}</small>}
      </td>
      <td data-label={t("exports.col.last")}>
        {run
          ? (
            <a class="result" href={runHref(run.name)}>
              <StateMark state={run.state} />
              <small>
                {time ? format.time(time) : ""}
                {isOver(run) && run.counts && run.counts.confirmed > 0n && ` · ${t("exports.confirmed", { n: format.number(Number(run.counts.confirmed)) })}`}
              </small>
            </a>
          )
          : <span class="fine">{t("exports.neverRan")}</span>}
      </td>
      <td data-label={t("exports.col.next")}><NextRun found={found} /></td>
      <td class="actions">
        {run && !isOver(run)
          ? <a class="button" href={runHref(run.name)}>{t("exports.watch")}</a>
          : found.permissions?.canRun && found.connection &&
            <Button onClick={onStart} label={`${t("exports.run")}: ${found.displayName}`}>{t("exports.run")}</Button>}
      </td>
    </tr>
  );
}

/** By what it runs, and when that is due next where the server says so. */
function NextRun({ found }: { found: Export }) {
  const { t, format } = useI18n();
  const own = found.schedule?.schedule;
  if (own?.case === "off") return <>{t("exports.next.off")}</>;
  if (!found.connection) return <>{t("exports.next.none")}</>;
  return (
    <>
      {found.nextRunTime ? format.time(timestampMs(found.nextRunTime)) : t("exports.next.unknown")}
      <small>
        {own?.case === "recurrence"
          ? t("exports.next.cron", { cron: own.value.cron, zone: own.value.timeZone })
          : t("exports.next.refresh")}
      </small>
    </>
  );
}
