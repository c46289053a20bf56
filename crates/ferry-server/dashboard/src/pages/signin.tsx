// Signing in: at the issuer where one is configured, else by pasting a token.

import { useState } from "preact/hooks";
import { enter, getConfig, phase, signInAtIssuer } from "../app/session";
import { useStore } from "../app/store";
import { readClaims } from "../auth/token";
import { useI18n } from "../i18n";
import { Logo } from "../ui/icons";
import { Button } from "../ui/parts";

export function SignIn() {
  const { t } = useI18n();
  const state = useStore(phase);
  const { oidc } = getConfig();
  const [byToken, setByToken] = useState(oidc === null);
  const [busy, setBusy] = useState(false);
  const note = state.at === "signed-out" ? state.note : undefined;
  const failure = state.at === "signed-out" ? state.failure : undefined;
  const words = failure === "state" || failure === "iss" ? t("signin.state") : failure;
  return (
    <main class="signin" id="main">
      <div class="signin-card">
        <Logo />
        <h1>{t("app.name")}</h1>
        <p class="tagline">{t("app.tagline")}</p>
        {note === "ended" && <p class="box warn" role="alert">{t("signin.ended")}</p>}
        {note === "config" && <p class="box bad" role="alert">{t("signin.configFailed")}</p>}
        {words && <p class="box bad" role="alert">{t("signin.failed", { why: words })}</p>}
        {oidc && (
          <div class="stack">
            <Button
              kind="primary"
              disabled={busy || !isSecureContext}
              onClick={() => {
                setBusy(true);
                void signInAtIssuer().finally(() => setBusy(false));
              }}
            >
              {t("signin.oidc")}
            </Button>
            <p class="fine">{isSecureContext ? t("signin.oidcHint", { issuer: new URL(oidc.issuer).host }) : t("signin.insecure")}</p>
          </div>
        )}
        {byToken ? <TokenForm /> : <Button kind="quiet" onClick={() => setByToken(true)}>{t("signin.tokenToggle")}</Button>}
      </div>
    </main>
  );
}

function TokenForm() {
  const { t, format } = useI18n();
  const [token, setToken] = useState("");
  const [tenant, setTenant] = useState("");
  const [wrong, setWrong] = useState("");
  const claims = readClaims(token.trim(), getConfig().oidc?.tenantsClaim);
  const asksTenant = claims !== undefined && claims.tenants.size === 0;

  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!claims) return setWrong(t("signin.badToken"));
    const { expireTime } = claims;
    if (expireTime !== undefined && expireTime < Date.now()) {
      return setWrong(t("signin.expiredToken", { when: format.ago(expireTime, Date.now()) }));
    }
    if (asksTenant && !/^[a-z0-9][a-z0-9-]{2,61}[a-z0-9]$/.test(tenant)) return setWrong(t("signin.badTenant"));
    if (!enter({ accessToken: token.trim() }, tenant || undefined)) setWrong(t("signin.badToken"));
  };

  return (
    <form class="stack" onSubmit={submit} noValidate>
      <label class="field">
        <span>{t("signin.token")}</span>
        <textarea
          rows={4}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          value={token}
          aria-invalid={wrong !== ""}
          aria-describedby="token-hint token-wrong"
          onInput={(event) => {
            setToken(event.currentTarget.value);
            setWrong("");
          }}
        />
      </label>
      {asksTenant && (
        <label class="field">
          <span>{t("signin.tenant")}</span>
          <input value={tenant} spellcheck={false} autocapitalize="off" onInput={(event) => setTenant(event.currentTarget.value)} />
          <small>{t("signin.tenantHint")}</small>
        </label>
      )}
      <p class="fine" id="token-hint">{t("signin.tokenHint")}</p>
      <p class="wrong" id="token-wrong" role="alert">{wrong}</p>
      <Button kind="primary" submit>{t("signin.go")}</Button>
    </form>
  );
}
