// The rows that did not go: how many for which reason, and which. They are personal data, so they are read when
// somebody asks for them, and addresses are covered at first.

import { useState } from "preact/hooks";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { isOver } from "../api/feed";
import { useApp } from "../app/context";
import { useStore } from "../app/store";
import { holds } from "../auth/token";
import { type RejectedProfile, RejectedProfile_Stage as Stage } from "../gen/ferry/v1/rejected_profile_pb";
import type { Run } from "../gen/ferry/v1/run_pb";
import type { Key } from "../i18n/en";
import { useI18n } from "../i18n";
import { covered } from "../model/cover";
import { Share } from "../ui/bar";
import { Button, ProblemBox } from "../ui/parts";

const STAGES: Record<Stage, Key> = {
  [Stage.UNSPECIFIED]: "stage.unspecified",
  [Stage.REJECTED]: "stage.rejected",
  [Stage.REFUSED]: "stage.refused",
  [Stage.EXCLUDED]: "stage.excluded",
};
/** Rows in the document at most; more is read and counted all the same. */
const SHOWN = 200;

export function Rejected({ run }: { run: Run }) {
  const { live, session } = useApp();
  const { t } = useI18n();
  const { exports } = useStore(live.snapshot);
  const allowed = exports.get(run.export)?.permissions?.canViewRejected ?? holds(session.role, "administrator");
  const { counts } = run;
  const total = counts ? Number(counts.rejected + counts.refused + counts.excluded) : 0;
  return (
    <section class="panel" aria-labelledby="rejected">
      <h2 id="rejected">{t("rejected.title")}</h2>
      {!isOver(run)
        ? <p class="fine">{t("rejected.later")}</p>
        : total === 0
          ? <p class="fine">{t(counts && counts.members > 0n ? "rejected.none" : "run.batchesEmpty")}</p>
          : allowed
            ? <Rows run={run} total={total} />
            : <p class="fine">{t("rejected.role")}</p>}
    </section>
  );
}

function Rows({ run, total }: { run: Run; total: number }) {
  const { api } = useApp();
  const { t, format, rejection } = useI18n();
  const [rows, setRows] = useState<RejectedProfile[]>();
  const [token, setToken] = useState("");
  const [chosen, setChosen] = useState<string>();
  const [uncovered, setUncovered] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();

  const read = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const request = { name: run.name, pageSize: 500, pageToken: token };
      const page = await api.runs.listRejectedProfiles(request, UNARY);
      setRows([...(rows ?? []), ...page.rejectedProfiles]);
      setToken(page.nextPageToken);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };

  if (problem) return <ProblemBox problem={problem} onRetry={() => void read()} />;
  if (!rows) {
    return (
      <div class="ask">
        <p class="fine">{t("rejected.readHint")}</p>
        <Button disabled={busy} onClick={() => void read()}>{t("rejected.read")}</Button>
      </div>
    );
  }
  const byReason = new Map<string, number>();
  for (const row of rows) byReason.set(row.reason, (byReason.get(row.reason) ?? 0) + 1);
  const reasons = [...byReason].sort((a, b) => b[1] - a[1]);
  const shown = rows.filter((row) => chosen === undefined || row.reason === chosen).slice(0, SHOWN);
  return (
    <>
      <fieldset class="by-reason">
        <legend>{t("rejected.byReason")}</legend>
        {[[undefined, rows.length] as const, ...reasons].map(([reason, number]) => (
          <label key={reason ?? "*"}>
            <input type="radio" name="reason" checked={chosen === reason} onChange={() => setChosen(reason)} />
            <span class="reason-name">{reason === undefined ? t("rejected.all") : rejection(reason)}</span>
            <span class="reason-count">{format.number(number)}</span>
            <Share name="refused" value={number} total={rows.length} />
          </label>
        ))}
      </fieldset>
      <div class="table-head">
        <p class="fine" role="status">{rows.length < total || token !== "" ? t("rejected.partial", { n: format.number(rows.length), total: format.number(total) }) : ""}</p>
        <button type="button" class="button quiet" aria-pressed={uncovered} onClick={() => setUncovered(!uncovered)}>
          {t(uncovered ? "rejected.hide" : "rejected.show")}
        </button>
      </div>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("rejected.title")}>
      <table class="rows dense">
        <thead>
          <tr>
            <th scope="col" class="number">{t("rejected.col.line")}</th>
            <th scope="col">{t("rejected.col.email")}</th>
            <th scope="col">{t("rejected.col.reason")}</th>
            <th scope="col">{t("rejected.col.stage")}</th>
            <th scope="col">{t("rejected.col.segment")}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((row, place) => (
            <tr key={place}>
              <td class="number" data-label={t("rejected.col.line")}>{row.line === undefined ? "–" : format.number(Number(row.line))}</td>
              <td data-label={t("rejected.col.email")} class="email">
                {row.email === "" ? <span class="fine">{t("rejected.noAddress")}</span> : uncovered ? row.email : covered(row.email)}
              </td>
              <td data-label={t("rejected.col.reason")}>
                {rejection(row.reason)}
                {row.reasonCandidates.length > 0 && (
                  <small>{t("rejected.candidates", { list: row.reasonCandidates.map(rejection).join(", ") })}</small>
                )}
              </td>
              <td data-label={t("rejected.col.stage")}>{t(STAGES[row.stage] ?? "stage.unspecified")}</td>
              <td data-label={t("rejected.col.segment")}>{row.segment || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
      </div>
      {token !== "" && <div class="more"><Button disabled={busy} onClick={() => void read()}>{t("rejected.more")}</Button></div>}
    </>
  );
}
