// How the watch stands: a word in the header, and a line below it where something is to be said.

import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app/context";
import { useNow, useStore } from "../app/store";
import { useI18n } from "../i18n";
import { Icon } from "./icons";
import { Button, wordsOf } from "./parts";

/** How long the page says that it is connected again. */
const BACK_MS = 12_000;

export function LinkMark() {
  const { t } = useI18n();
  const link = useStore(useApp().live.link);
  const text = {
    connecting: t("link.connecting"), live: t("link.live"), cut: t("link.short.cut"), ended: t("link.short.ended"),
  }[link.state];
  return <span class={`link ${link.state}`} title={link.state === "live" ? t("link.liveHint") : undefined}><i />{text}</span>;
}

export function LinkLine() {
  const { live } = useApp();
  const i18n = useI18n();
  const { t, format } = i18n;
  const link = useStore(live.link);
  const now = Math.max(useNow(), Date.now());
  const [, setOver] = useState(0);
  const back = link.state === "live" ? link.back : undefined;
  useEffect(() => {
    if (!back) return;
    const timer = setTimeout(() => setOver(back.at), BACK_MS);
    return () => clearTimeout(timer);
  }, [back]);

  let line = null;
  if (link.state === "cut") {
    const seconds = Math.ceil((link.retryAt - now) / 1_000);
    const ago = format.ago(link.since, now);
    line = (
      <p class="line cut">
        <Icon name="alert" />
        <span>{seconds > 0 ? t("link.cut", { ago, seconds }) : t("link.cutNow", { ago })}</span>
        <Button kind="quiet" onClick={() => live.retry()}>{t("link.retry")}</Button>
      </p>
    );
  } else if (link.state === "ended") {
    line = <p class="line ended"><Icon name="alert" /><span>{t("link.ended", { why: wordsOf(link.problem, i18n) })}</span></p>;
  } else if (back && now - back.at < BACK_MS) {
    const text = t(back.anew ? "link.anew" : "link.back", { duration: format.duration(back.cutMs) });
    line = <p class="line back"><Icon name="check" /><span>{text}</span></p>;
  }
  // The seconds count down in sight alone; aloud it is said once, when the state changes.
  const aloud = link.state === "cut" ? t("link.short.cut") : back ? t("link.live") : "";
  return (
    <>
      <div class="lines">{line}</div>
      <p class="unseen" role="status">{aloud}</p>
    </>
  );
}
