// Tokens for the fake server, which believes whatever they say. Ferry believes none of them.

import type { Role } from "../src/auth/token";

export function token(subject: string, tenants: Record<string, Role>, seconds = 12 * 3_600): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1_000);
  return [part({ alg: "none" }), part({ iss: "fake", aud: "ferry", sub: subject, iat: now, exp: now + seconds, tenants }), "fake"].join(".");
}
