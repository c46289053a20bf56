// OpenID Connect: authorisation code with PKCE (RFC 7636), as a public client. No secret, no implicit flow; the token is
// never in a URL. What has to outlive the redirect lies in this tab's sessionStorage and is used once.

export interface OidcConfig {
  issuer: string;
  clientId: string;
  scope: string;
  /** Some issuers want the service's name to make a token for it. */
  audience?: string;
}

export interface Tokens {
  accessToken: string;
  refreshToken?: string;
}

interface Metadata {
  issuer: string;
  authorization_endpoint: string;
  token_endpoint: string;
}

interface Pending {
  state: string;
  verifier: string;
  /** Where in the page to go on. */
  hash: string;
}

const PENDING = "ferry.oidc";

/** What went wrong at the issuer, in its own words. */
export class OidcError extends Error {}

function random(bytes: number): string {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** RFC 7636, 4.2. */
export async function challengeOf(verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

async function discover(config: OidcConfig): Promise<Metadata> {
  const url = `${config.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const answer = await fetch(url, { credentials: "omit" });
  if (!answer.ok) throw new OidcError(`${url}: HTTP ${answer.status}`);
  const metadata = (await answer.json()) as Metadata;
  // Another issuer's document would send the code, and with it the token, elsewhere (OpenID Connect Discovery, 4.3).
  if (metadata.issuer !== config.issuer) throw new OidcError(`${url} names another issuer: ${metadata.issuer}`);
  return metadata;
}

const redirectUri = (): string => `${location.origin}/`;

/** Leaves the page for the issuer's. */
export async function signIn(config: OidcConfig): Promise<void> {
  const metadata = await discover(config);
  const pending: Pending = { state: random(16), verifier: random(32), hash: location.hash };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const url = new URL(metadata.authorization_endpoint);
  const parameters: Record<string, string> = {
    response_type: "code",
    client_id: config.clientId,
    redirect_uri: redirectUri(),
    scope: config.scope,
    state: pending.state,
    code_challenge: await challengeOf(pending.verifier),
    code_challenge_method: "S256",
    ...(config.audience ? { audience: config.audience } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Whether this page was opened by the issuer's redirect. */
export function isCallback(): boolean {
  const query = new URLSearchParams(location.search);
  return query.has("state") && (query.has("code") || query.has("error"));
}

/** Takes the issuer's answer out of the address bar and changes the code for tokens. */
export async function finish(config: OidcConfig): Promise<Tokens> {
  const query = new URLSearchParams(location.search);
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null") as Pending | null;
  sessionStorage.removeItem(PENDING);
  history.replaceState(null, "", `/${pending?.hash ?? ""}`);
  if (!pending || query.get("state") !== pending.state) throw new OidcError("state");
  if (query.get("iss") !== null && query.get("iss") !== config.issuer) throw new OidcError("iss");
  const refused = query.get("error");
  if (refused) throw new OidcError(query.get("error_description") ?? refused);
  return request(config, {
    grant_type: "authorization_code",
    code: query.get("code") ?? "",
    redirect_uri: redirectUri(),
    code_verifier: pending.verifier,
  });
}

/** A new access token by a refresh token. */
export function refresh(config: OidcConfig, refreshToken: string): Promise<Tokens> {
  return request(config, { grant_type: "refresh_token", refresh_token: refreshToken });
}

async function request(config: OidcConfig, parameters: Record<string, string>): Promise<Tokens> {
  const metadata = await discover(config);
  const body = new URLSearchParams({ ...parameters, client_id: config.clientId });
  const answer = await fetch(metadata.token_endpoint, { method: "POST", body, credentials: "omit" });
  const found = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (!answer.ok || typeof found["access_token"] !== "string") {
    throw new OidcError(String(found["error_description"] ?? found["error"] ?? `HTTP ${answer.status}`));
  }
  const refreshToken = found["refresh_token"] ?? parameters["refresh_token"];
  return { accessToken: found["access_token"], refreshToken: typeof refreshToken === "string" ? refreshToken : undefined };
}
