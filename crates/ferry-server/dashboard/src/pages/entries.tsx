// The entries of the tenant's own chain, the newest first, each with its mark once the trail was checked.

import { useEffect, useState } from "preact/hooks";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { useApp } from "../app/context";
import { runHref } from "../app/route";
import { type AuditEntry, AuditEntry_Result as Result } from "../gen/ferry/v1/audit_pb";
import { KINDS } from "../i18n/codes";
import { useI18n } from "../i18n";
import { hex } from "../ledger/bytes";
import type { Report } from "../ledger/verify";
import { isRunName, lastPart } from "../model/names";
import { Icon } from "../ui/icons";
import { Button, Empty, Mark, ProblemBox, Waiting } from "../ui/parts";

export function Entries({ report }: { report: Report | undefined }) {
  const { api, session } = useApp();
  const { t, kind: kindName } = useI18n();
  const [kind, setKind] = useState("");
  const [entries, setEntries] = useState<AuditEntry[]>();
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();

  const read = async (anew: boolean): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const page = await api.audit.listAuditEntries({
        parent: `tenants/${session.tenant}`,
        pageSize: 50,
        pageToken: anew ? "" : token,
        filter: kind ? `kind = "${kind}"` : "",
      }, UNARY);
      setEntries([...(anew ? [] : (entries ?? [])), ...page.auditEntries]);
      setToken(page.nextPageToken);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };
  // The trail that was just checked may have entries that the table has not.
  useEffect(() => void read(true), [api, session.tenant, kind, report]);

  const kinds = Object.keys(KINDS).sort((a, b) => kindName(a).localeCompare(kindName(b)));
  return (
    <section class="panel" aria-label={t("audit.title")}>
      <div class="table-head">
        <label class="field inline">
          <span>{t("audit.filter")}</span>
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="">{t("audit.filter.all")}</option>
            {kinds.map((code) => <option key={code} value={code}>{kindName(code)}</option>)}
          </select>
        </label>
      </div>
      {problem && <ProblemBox problem={problem} onRetry={() => void read(true)} />}
      {!entries && !problem && <Waiting rows={8} />}
      {entries?.length === 0 && <Empty title={t("audit.none.title")}>{t("audit.none.text")}</Empty>}
      {entries && entries.length > 0 && (
        <table class="rows entries">
          <thead>
            <tr>
              <th scope="col" class="number">{t("audit.col.number")}</th>
              <th scope="col"><span class="unseen">{t("audit.col.mark")}</span></th>
              <th scope="col">{t("audit.col.what")}</th>
              <th scope="col">{t("audit.col.object")}</th>
              <th scope="col">{t("audit.col.who")}</th>
              <th scope="col">{t("audit.col.when")}</th>
            </tr>
          </thead>
          <tbody>{entries.map((entry) => <EntryRow key={entry.name} entry={entry} report={report} />)}</tbody>
        </table>
      )}
      {token !== "" && <div class="more"><Button disabled={busy} onClick={() => void read(false)}>{t("audit.older")}</Button></div>}
    </section>
  );
}

/** What the last check says of an entry: by its hash, so that another entry of the same number has no mark. */
function markOf(entry: AuditEntry, report: Report | undefined): "signed" | "linked" | "none" | "bad" {
  if (!report || report.bad) return "none";
  const known = report.hashes[Number(entry.number) - 1];
  if (known === undefined) return "none";
  if (known !== hex(entry.hash)) return "bad";
  return report.signature === "good" && entry.number <= report.covered ? "signed" : "linked";
}

function EntryRow({ entry, report }: { entry: AuditEntry; report: Report | undefined }) {
  const { session } = useApp();
  const { t, kind, reason, format } = useI18n();
  const mark = markOf(entry, report);
  const icon = { signed: "check", linked: "link", none: "dots", bad: "cross" } as const;
  const object = entry.object.replace(`tenants/${session.tenant}/`, "");
  const run = isRunName(entry.object) ? entry.object : undefined;
  const details = Object.entries(entry.details).sort(([a], [b]) => (a < b ? -1 : 1));
  const why = entry.reason && (reason(entry.reason) ?? entry.reason);
  return (
    <tr>
      <td class="number" data-label={t("audit.col.number")}>{format.number(Number(entry.number))}</td>
      <td class={`entry-mark ${mark}`} data-label={t("audit.col.mark")} title={t(`audit.mark.${mark}`)}>
        <Icon name={icon[mark]} /><span class="unseen">{t(`audit.mark.${mark}`)}</span>
      </td>
      <th scope="row">
        <details class="entry">
          <summary>
            {kind(entry.kind)}
            {entry.result === Result.DENIED && <Mark tone="bad" icon="cross">{t("audit.result.denied")}</Mark>}
            {entry.result === Result.FAILED && <Mark tone="warn" icon="alert">{t("audit.result.failed")}</Mark>}
          </summary>
          <dl class="details">
            <div><dt>kind</dt><dd>{entry.kind}</dd></div>
            <div><dt>object</dt><dd>{entry.object}</dd></div>
            {why && <div><dt>reason</dt><dd>{why}</dd></div>}
            {details.map(([key, value]) => <div key={key}><dt>{key}</dt><dd>{value}</dd></div>)}
            <div><dt>hash</dt><dd>{hex(entry.hash)}</dd></div>
          </dl>
          {entry.encoded.length === 0 && <p class="fine">{t("audit.gone")}</p>}
        </details>
      </th>
      <td data-label={t("audit.col.object")} class="object" title={entry.object}>
        {run ? <a href={runHref(run)}>{run.split("/")[3]} · {lastPart(run).slice(0, 13)}…</a> : object || "–"}
      </td>
      <td data-label={t("audit.col.who")} class="who">{entry.actor === "ferry" ? t("audit.ferry") : entry.actor || "–"}</td>
      <td data-label={t("audit.col.when")}>{entry.createTime ? format.time(timestampMs(entry.createTime)) : "–"}</td>
    </tr>
  );
}
