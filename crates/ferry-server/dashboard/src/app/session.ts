// Who is signed in, and for which tenant. The token lies in memory and in this tab's sessionStorage; never in a URL, a
// cookie or localStorage.

import { OidcError, finish, isCallback, type OidcConfig, refresh, signIn, type Tokens } from "../auth/oidc";
import { type Claims, readClaims, type Role } from "../auth/token";
import { Store } from "./store";

export interface Config {
  oidc: (OidcConfig & { tenantsClaim?: string }) | null;
  /** How many times as fast as real the destination's clock runs, in development. */
  developmentTimeScale?: number;
}

export interface Session {
  token: string;
  refreshToken?: string;
  claims: Claims;
  tenant: string;
  /** The role that the token claims in the tenant; undefined where it does not say. */
  role: Role | undefined;
}

export type Phase =
  | { at: "loading" }
  | { at: "signed-out"; note?: "ended" | "config"; failure?: string }
  | { at: "signed-in"; session: Session };

const STORED = "ferry.session";
/** A token that ends so soon is changed for a new one first. */
const EARLY_MS = 60_000;

let config: Config = { oidc: null };
let current: Session | undefined;
export const phase = new Store<Phase>({ at: "loading" });
export const getConfig = (): Config => config;
export const getToken = (): string => current?.token ?? "";

export async function start(): Promise<void> {
  try {
    const answer = await fetch("/config.json", { cache: "no-store", credentials: "omit" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    config = (await answer.json()) as Config;
  } catch {
    phase.set({ at: "signed-out", note: "config" });
    return;
  }
  if (config.oidc && isCallback()) {
    try {
      const tokens = await finish(config.oidc);
      if (!enter(tokens)) phase.set({ at: "signed-out", failure: "token" });
    } catch (error) {
      phase.set({ at: "signed-out", failure: error instanceof OidcError ? error.message : String(error) });
    }
    return;
  }
  const stored = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as (Tokens & { tenant: string }) | null;
  if (!stored || !enter(stored, stored.tenant)) phase.set({ at: "signed-out" });
}

/** Begins a session. False if the token is none, or names no tenant and none is given. */
export function enter(tokens: Tokens, tenant?: string): boolean {
  const claims = readClaims(tokens.accessToken, config.oidc?.tenantsClaim);
  if (!claims) return false;
  const chosen = tenant && (claims.tenants.size === 0 || claims.tenants.has(tenant)) ? tenant : [...claims.tenants.keys()][0];
  if (!chosen) return false;
  const { accessToken: token, refreshToken } = tokens;
  current = { token, refreshToken, claims, tenant: chosen, role: claims.tenants.get(chosen) };
  sessionStorage.setItem(STORED, JSON.stringify({ ...tokens, tenant: chosen }));
  phase.set({ at: "signed-in", session: current });
  scheduleRefresh();
  return true;
}

export function chooseTenant(tenant: string): void {
  if (current) enter({ accessToken: current.token, refreshToken: current.refreshToken }, tenant);
}

export function signOut(note?: "ended"): void {
  current = undefined;
  sessionStorage.removeItem(STORED);
  clearTimeout(timer);
  phase.set({ at: "signed-out", note });
}

export async function signInAtIssuer(): Promise<void> {
  if (!config.oidc) return;
  try {
    await signIn(config.oidc);
  } catch (error) {
    phase.set({ at: "signed-out", failure: error instanceof OidcError ? error.message : String(error) });
  }
}

let timer: ReturnType<typeof setTimeout> | undefined;

/** Gets the next token before this one ends, where the issuer gave the means; else the session ends with it. */
function scheduleRefresh(): void {
  clearTimeout(timer);
  const session = current;
  if (!session?.claims.expireTime) return;
  const { refreshToken } = session;
  const early = config.oidc && refreshToken ? EARLY_MS : 0;
  // setTimeout takes 24 days at most; a token lives at most one.
  const wait = Math.min(Math.max(session.claims.expireTime - early - Date.now(), 0), 86_400_000);
  timer = setTimeout(async () => {
    if (current !== session) return;
    if (!config.oidc || !refreshToken) return signOut("ended");
    try {
      const tokens = await refresh(config.oidc, refreshToken);
      if (current === session && !enter(tokens, session.tenant)) signOut("ended");
    } catch {
      if (current === session) signOut("ended");
    }
  }, wait);
}
