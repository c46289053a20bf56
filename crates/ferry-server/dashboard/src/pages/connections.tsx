// The connections and their state.

import { useEffect, useState } from "preact/hooks";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { UNARY } from "../api/client";
import { type Problem, problemOf } from "../api/details";
import { useApp } from "../app/context";
import { useStore } from "../app/store";
import { holds } from "../auth/token";
import { Connection_Access as Access, type Connection, Connection_State as State } from "../gen/ferry/v1/connection_pb";
import { useI18n } from "../i18n";
import { lastPart } from "../model/names";
import { Button, Empty, Fact, Mark, ProblemBox, Title, Waiting, wordsOf } from "../ui/parts";

export function ConnectionsPage() {
  const { api, session } = useApp();
  const { t } = useI18n();
  const [list, setList] = useState<Connection[]>();
  const [problem, setProblem] = useState<Problem>();
  // A viewer's call would be refused, and each refusal goes on record.
  const allowed = holds(session.role, "contributor") || session.role === undefined;

  const read = async (): Promise<void> => {
    setProblem(undefined);
    try {
      const found: Connection[] = [];
      let pageToken = "";
      do {
        const page = await api.connections.listConnections({ parent: `tenants/${session.tenant}`, pageSize: 100, pageToken }, UNARY);
        found.push(...page.connections);
        pageToken = page.nextPageToken;
      } while (pageToken !== "" && found.length < 500);
      setList(found);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  useEffect(() => {
    if (allowed) void read();
  }, [api, session.tenant]);

  const replace = (changed: Connection): void => setList((now) => now?.map((one) => (one.name === changed.name ? changed : one)));
  return (
    <>
      <Title>{t("connections.title")}</Title>
      {!allowed && <div class="panel"><Empty title={t("connections.title")}>{t("connections.role")}</Empty></div>}
      {problem && <ProblemBox problem={problem} onRetry={() => void read()} />}
      {allowed && !problem && !list && <div class="panel"><Waiting rows={2} tall /></div>}
      {list?.length === 0 && (
        <div class="panel">
          <Empty title={t("connections.none.title")}>
            {t(holds(session.role, "administrator") ? "connections.none.text" : "connections.noneShared")}
          </Empty>
        </div>
      )}
      {list?.map((one) => <ConnectionCard key={one.name} connection={one} onChange={replace} />)}
    </>
  );
}

function ConnectionCard({ connection, onChange }: { connection: Connection; onChange: (changed: Connection) => void }) {
  const { api, live, session, say } = useApp();
  const i18n = useI18n();
  const { t, count, format, reason } = i18n;
  const [busy, setBusy] = useState(false);
  const { exports } = useStore(live.snapshot);
  const used = [...exports.values()].filter((found) => found.connection === connection.name).length;
  const settings = connection.settings?.settings;
  const account = settings?.case === "activecampaign" ? settings.value : undefined;
  const isAdministrator = holds(session.role, "administrator");

  const verify = async (): Promise<void> => {
    setBusy(true);
    const name = connection.displayName;
    try {
      const answer = await api.connections.verifyConnection({ name: connection.name }, UNARY);
      if (answer.connection) onChange(answer.connection);
      if (answer.outcome === "OK") say(t("connections.verified", { name }), "good");
      else say(t("connections.verifyFailed", { name, why: reason(answer.outcome) ?? answer.outcome }), "bad");
    } catch (error) {
      say(t("connections.verifyFailed", { name, why: wordsOf(problemOf(error), i18n) }), "bad");
    }
    setBusy(false);
  };

  return (
    <article class="panel connection" aria-label={connection.displayName}>
      <header>
        <div>
          <h2>{connection.displayName}</h2>
          <p class="fine">{lastPart(connection.name)} · {count("connections.exports", used)}</p>
        </div>
        <StateOf connection={connection} />
      </header>
      {connection.state === State.NEEDS_ATTENTION && connection.stateReason && (
        <p class="box warn">{reason(connection.stateReason) ?? connection.stateReason}</p>
      )}
      {connection.state === State.UNVERIFIED && <p class="fine">{t("connections.unverifiedHint")}</p>}
      {account && (
        <dl class="facts">
          <Fact name={t("connections.host")}>{account.host}</Fact>
          <Fact name={t("connections.access")}>
            {t(connection.access === Access.ADMINISTRATORS_AND_CONTRIBUTORS ? "connections.access.all" : "connections.access.admins")}
          </Fact>
          <Fact name={t("connections.runAs")}>{connection.runAs || "–"}</Fact>
          {account.secretReference
            ? <Fact name={t("connections.secret")}>{account.secretReference}</Fact>
            : <Fact name={t("connections.keySet")}>{account.apiKeySetTime ? format.time(timestampMs(account.apiKeySetTime)) : "–"}</Fact>}
          {connection.consent?.acceptTime && (
            <Fact name={t("connections.consent")}>
              {t("connections.consentBy", {
                who: connection.consent.acceptedBy,
                when: format.time(timestampMs(connection.consent.acceptTime)),
                version: connection.consent.textVersion,
              })}
            </Fact>
          )}
        </dl>
      )}
      {isAdministrator && (
        <footer>
          <Button disabled={busy} onClick={() => void verify()}>{t(busy ? "connections.verifying" : "connections.verify")}</Button>
        </footer>
      )}
    </article>
  );
}

function StateOf({ connection }: { connection: Connection }) {
  const { t } = useI18n();
  switch (connection.state) {
    // To contributors the state is not told.
    case State.UNSPECIFIED: return <Mark tone="idle" icon="link">{t("connections.state.limited")}</Mark>;
    case State.READY: return <Mark tone="good" icon="check">{t("connections.state.ready")}</Mark>;
    case State.UNVERIFIED: return <Mark tone="idle" icon="dots">{t("connections.state.unverified")}</Mark>;
    default: return <Mark tone="warn" icon="alert">{t("connections.state.attention")}</Mark>;
  }
}
