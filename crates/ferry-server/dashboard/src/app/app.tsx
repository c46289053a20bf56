// The frame around the pages: header, navigation, settings, what is said aloud.

import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { createApi } from "../api/client";
import { type Role } from "../auth/token";
import type { Key } from "../i18n/en";
import { I18nContext, i18nOf, LANGUAGE_NAMES, LANGUAGES, preferredLanguage, storeLanguage, useI18n } from "../i18n";
import type { Language } from "../model/format";
import { AuditPage } from "../pages/audit";
import { ConnectionsPage } from "../pages/connections";
import { ExportsPage } from "../pages/exports";
import { RunPage } from "../pages/run";
import { RunsPage } from "../pages/runs";
import { SignIn } from "../pages/signin";
import { Icon, type IconName, Logo } from "../ui/icons";
import { LinkLine, LinkMark } from "../ui/link";
import { stateKey } from "../ui/parts";
import { AppContext, type App as AppValue } from "./context";
import { Live } from "./live";
import { type Route, route } from "./route";
import { chooseTenant, getToken, phase, type Session, signOut } from "./session";
import { useStore } from "./store";
import { applyTheme, currentTheme, type Theme, THEMES } from "./theme";

export function Root() {
  const [language, setLanguage] = useState<Language>(preferredLanguage);
  const i18n = useMemo(() => i18nOf(language), [language]);
  const state = useStore(phase);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const choose = (value: Language): void => {
    storeLanguage(value);
    setLanguage(value);
  };
  return (
    <I18nContext.Provider value={i18n}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>{i18n.t("app.skip")}</a>
      {state.at === "signed-in"
        ? <SignedIn key={state.session.tenant} session={state.session} settings={<Settings language={language} onLanguage={choose} />} />
        : (
          <div class="outside">
            <header class="corner"><Settings language={language} onLanguage={choose} /></header>
            {state.at === "signed-out" && <SignIn />}
          </div>
        )}
    </I18nContext.Provider>
  );
}

interface Said {
  id: number;
  text: string;
  tone: "good" | "bad" | undefined;
  link: { href: string; text: string } | undefined;
}

/** How long a word in the corner stays. */
const SAID_MS = 8_000;

function SignedIn({ session, settings }: { session: Session; settings: preact.ComponentChildren }) {
  const { t } = useI18n();
  const [said, setSaid] = useState<Said[]>([]);
  // The API and the watch live as long as the tenant is shown; a renewed token is taken at the next call.
  const [api] = useState(() => createApi(getToken));
  const [live] = useState(() => new Live(api, session.tenant, () => signOut("ended")));
  useEffect(() => {
    live.start();
    return () => live.close();
  }, [live]);
  const say = useCallback<AppValue["say"]>((text, tone, link) => {
    const id = Math.random();
    setSaid((now) => [...now.slice(-2), { id, text, tone, link }]);
    setTimeout(() => setSaid((now) => now.filter((one) => one.id !== id)), SAID_MS);
  }, []);
  const app = useMemo(() => ({ api, live, session, say }), [api, live, session, say]);
  const current = useStore(route);
  return (
    <AppContext.Provider value={app}>
      <Header session={session} settings={settings} />
      <main id="main" tabIndex={-1}><Page key={JSON.stringify(current)} current={current} tenant={session.tenant} /></main>
      <div class="corner-lines">
        <LinkLine />
        <div role="status">
          {said.map((one) => (
            <p key={one.id} class={`line said ${one.tone ?? ""}`}>
              <Icon name={one.tone === "bad" ? "alert" : "check"} />
              <span>{one.text}</span>
              {one.link && <a href={one.link.href}>{one.link.text}</a>}
            </p>
          ))}
        </div>
      </div>
      <Aloud live={live} t={t} />
    </AppContext.Provider>
  );
}

/** Changes of state are said aloud; progress is not. */
function Aloud({ live, t }: { live: Live; t: (key: Key, values?: Record<string, string>) => string }) {
  const change = useStore(live.stateChange);
  return (
    <p class="unseen" role="status">
      {change && t("runs.announce", { export: live.exportName(change.run.export), state: t(stateKey(change.run.state)) })}
    </p>
  );
}

function Page({ current, tenant }: { current: Route; tenant: string }) {
  switch (current.page) {
    case "run": return <RunPage name={`tenants/${tenant}/exports/${current.export}/runs/${current.run}`} />;
    case "exports": return <ExportsPage />;
    case "connections": return <ConnectionsPage />;
    case "audit": return <AuditPage />;
    default: return <RunsPage />;
  }
}

const NAV: { page: "runs" | "exports" | "connections" | "audit"; key: Key; icon: IconName }[] = [
  { page: "runs", key: "nav.runs", icon: "runs" },
  { page: "exports", key: "nav.exports", icon: "exports" },
  { page: "connections", key: "nav.connections", icon: "connections" },
  { page: "audit", key: "nav.audit", icon: "audit" },
];

function Header({ session, settings }: { session: Session; settings: preact.ComponentChildren }) {
  const { t } = useI18n();
  const current = useStore(route);
  const active = current.page === "run" ? "runs" : current.page;
  const tenants = [...session.claims.tenants.keys()];
  return (
    <header class="top">
      <div class="top-row">
        <a class="brand" href="#/runs"><Logo /><span>{t("app.name")}</span></a>
        {tenants.length > 1
          ? (
            <label class="tenant">
              <span class="unseen">{t("settings.tenant")}</span>
              <select value={session.tenant} onChange={(event) => chooseTenant(event.currentTarget.value)}>
                {tenants.map((tenant) => <option key={tenant} value={tenant}>{tenant}</option>)}
              </select>
            </label>
          )
          : <span class="tenant" title={t("settings.tenant")}>{session.tenant}</span>}
        <nav aria-label={t("nav.label")}>
          {NAV.map(({ page, key, icon }) => (
            <a key={page} href={`#/${page}`} aria-current={active === page ? "page" : undefined}><Icon name={icon} /><span>{t(key)}</span></a>
          ))}
        </nav>
        <LinkMark />
        <Menu session={session} settings={settings} />
      </div>
    </header>
  );
}

function Menu({ session, settings }: { session: Session; settings: preact.ComponentChildren }) {
  const { t } = useI18n();
  const who = session.claims.subject;
  const role: Record<Role, Key> = { viewer: "role.viewer", contributor: "role.contributor", administrator: "role.administrator" };
  return (
    <details
      class="menu"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.currentTarget.open = false;
        event.currentTarget.querySelector("summary")?.focus();
      }}
      onFocusOut={(event) => {
        if (event.relatedTarget instanceof Node && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
      }}
    >
      <summary aria-label={t("settings.signedInAs", { who })}><span class="initial" aria-hidden="true">{(who[0] ?? "?").toUpperCase()}</span></summary>
      <div class="menu-body">
        <p class="menu-who"><strong>{who}</strong>{session.role && <span class="fine">{t(role[session.role])}</span>}</p>
        {settings}
        <button type="button" class="button" onClick={() => signOut()}><Icon name="out" /><span>{t("settings.signOut")}</span></button>
      </div>
    </details>
  );
}

function Settings({ language, onLanguage }: { language: Language; onLanguage: (language: Language) => void }) {
  const { t } = useI18n();
  const [theme, setTheme] = useState<Theme>(currentTheme);
  const icons = { auto: "auto", light: "sun", dark: "moon" } as const;
  return (
    <div class="settings">
      <label class="field inline">
        <span>{t("settings.language")}</span>
        <select value={language} onChange={(event) => onLanguage(event.currentTarget.value as Language)}>
          {LANGUAGES.map((one) => <option key={one} value={one} lang={one}>{LANGUAGE_NAMES[one]}</option>)}
        </select>
      </label>
      <fieldset class="segmented">
        <legend>{t("settings.theme")}</legend>
        {THEMES.map((one) => (
          <label key={one} title={t(`settings.theme.${one}`)}>
            <input type="radio" name="theme" checked={theme === one} onChange={() => { applyTheme(one); setTheme(one); }} />
            <span><Icon name={icons[one]} /><span class="unseen">{t(`settings.theme.${one}`)}</span></span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}
