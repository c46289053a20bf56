// The batches of a run, read from its record. Administrators alone may read it.

import { useState } from "preact/hooks";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { useApp } from "../app/context";
import { holds } from "../auth/token";
import type { AuditEntry } from "../gen/ferry/v1/audit_pb";
import type { Run } from "../gen/ferry/v1/run_pb";
import type { Key } from "../i18n/en";
import { useI18n } from "../i18n";
import { type BatchState, batchesOf } from "../model/batches";
import { Button, Mark, ProblemBox, type Tone, Waiting } from "../ui/parts";

const STATES: Record<BatchState, { key: Key; tone: Tone; icon: "play" | "clock" | "back" | "check" | "alert" }> = {
  sent: { key: "batch.sent", tone: "busy", icon: "play" },
  queued: { key: "batch.queued", tone: "busy", icon: "clock" },
  due: { key: "batch.due", tone: "warn", icon: "back" },
  settled: { key: "batch.settled", tone: "good", icon: "check" },
  unknown: { key: "batch.unknown", tone: "warn", icon: "alert" },
};

export function Batches({ run }: { run: Run }) {
  const { api, session } = useApp();
  const { t, format } = useI18n();
  const [entries, setEntries] = useState<AuditEntry[]>();
  const [token, setToken] = useState<string>("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  if (!holds(session.role, "administrator")) return null;

  const read = async (anew: boolean): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const request = { parent: run.name, pageSize: 200, pageToken: anew ? "" : token };
      const page = await api.audit.listAuditEntries(request, UNARY);
      setEntries([...(anew ? [] : (entries ?? [])), ...page.auditEntries]);
      setToken(page.nextPageToken);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };
  const batches = entries && batchesOf(entries);
  return (
    <section class="panel" aria-labelledby="record">
      <details onToggle={(event) => event.currentTarget.open && !entries && void read(true)}>
        <summary><h2 id="record">{t("run.record")}</h2></summary>
        <p class="fine">{t("run.batchesRecord")}</p>
        {problem && <ProblemBox problem={problem} onRetry={() => void read(true)} />}
        {!batches && !problem && <Waiting rows={4} />}
        {batches?.length === 0 && <p class="none">{t("run.batchesEmpty")}</p>}
        {batches && batches.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-labelledby="record">
          <table class="rows dense">
            <thead>
              <tr>
                <th scope="col">{t("run.batch")}</th>
                <th scope="col">{t("run.batch.state")}</th>
                <th scope="col">{t("run.batch.action")}</th>
                <th scope="col" class="number">{t("run.batch.people")}</th>
                <th scope="col" class="number">{t("run.batch.confirmed")}</th>
                <th scope="col" class="number">{t("run.batch.refused")}</th>
                <th scope="col" class="number">{t("run.batch.attempts")}</th>
                <th scope="col">{t("run.batch.sentAt")}</th>
              </tr>
            </thead>
            <tbody>
              {batches.map((batch) => {
                const { key, tone, icon } = STATES[batch.state];
                const shown = (value: number | undefined): string => (value === undefined ? "–" : format.number(value));
                return (
                  <tr key={batch.number}>
                    <th scope="row">{format.number(batch.number)}</th>
                    <td data-label={t("run.batch.state")}><Mark tone={tone} icon={icon}>{t(key)}</Mark></td>
                    <td data-label={t("run.batch.action")}>{t(batch.action === "take_off" ? "run.batch.takeOff" : "run.batch.put")}</td>
                    <td class="number" data-label={t("run.batch.people")}>{format.number(batch.people)}</td>
                    <td class="number" data-label={t("run.batch.confirmed")}>{shown(batch.confirmed)}</td>
                    <td class="number" data-label={t("run.batch.refused")}>{shown(batch.refused)}</td>
                    <td class="number" data-label={t("run.batch.attempts")}>{format.number(batch.attempts)}</td>
                    <td data-label={t("run.batch.sentAt")}>{batch.sentAt ? format.exactTime(batch.sentAt) : "–"}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          </div>
        )}
        {token !== "" && <div class="more"><Button disabled={busy} onClick={() => void read(false)}>{t("run.batchesMore")}</Button></div>}
      </details>
    </section>
  );
}
