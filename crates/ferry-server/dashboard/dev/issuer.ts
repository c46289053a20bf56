// An OpenID Connect issuer for development and tests: it signs everybody in without asking, and checks PKCE for real.

import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Issuer {
  url: string;
  close(): Promise<void>;
}

/** What it gives out is asked for each time, since a token names its issuer, which has an address only once it listens. */
export async function startIssuer(accessToken: () => string): Promise<Issuer> {
  const codes = new Map<string, { challenge: string; redirect: string; client: string }>();
  let url = "";
  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? "/", url);
    const headers = { "access-control-allow-origin": "*", "content-type": "application/json" };
    const answer = (status: number, body: unknown): void => void response.writeHead(status, headers).end(JSON.stringify(body));
    if (asked.pathname === "/.well-known/openid-configuration") {
      return answer(200, { issuer: url, authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token` });
    }
    if (asked.pathname === "/authorize") {
      const query = asked.searchParams;
      if (query.get("code_challenge_method") !== "S256" || query.get("response_type") !== "code") return answer(400, { error: "invalid_request" });
      const code = randomUUID();
      const redirect = query.get("redirect_uri") ?? "";
      codes.set(code, { challenge: query.get("code_challenge") ?? "", redirect, client: query.get("client_id") ?? "" });
      const back = new URL(redirect);
      back.searchParams.set("code", code);
      back.searchParams.set("state", query.get("state") ?? "");
      back.searchParams.set("iss", url);
      return void response.writeHead(302, { location: back.toString() }).end();
    }
    if (asked.pathname === "/token" && request.method === "POST") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        const form = new URLSearchParams(body);
        if (form.get("grant_type") === "refresh_token") return answer(200, { access_token: accessToken(), refresh_token: "again" });
        const found = codes.get(form.get("code") ?? "");
        codes.delete(form.get("code") ?? "");
        const proof = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
        const fits = found?.challenge === proof && found.redirect === form.get("redirect_uri") && found.client === form.get("client_id");
        return fits ? answer(200, { access_token: accessToken(), token_type: "Bearer" }) : answer(400, { error: "invalid_grant" });
      });
      return;
    }
    answer(404, { error: "not_found" });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, close: () => new Promise((resolve) => void (server.closeAllConnections(), server.close(() => resolve()))) };
}
