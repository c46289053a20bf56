// What a token says of its holder. The page reads it to know what to show; the server alone decides what is allowed.

export type Role = "viewer" | "contributor" | "administrator";

export interface Claims {
  subject: string;
  /** Milliseconds since 1970; undefined if it does not say. */
  expireTime: number | undefined;
  tenants: Map<string, Role>;
}

const ROLES: Role[] = ["viewer", "contributor", "administrator"];

/** Undefined if the text is no JWT. */
export function readClaims(token: string, tenantsClaim = "tenants"): Claims | undefined {
  const payload = token.split(".")[1];
  if (payload === undefined || token.split(".").length !== 3) return undefined;
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const list = claims[tenantsClaim];
    const pairs = typeof list === "object" && list !== null ? Object.entries(list) : [];
    return {
      subject: typeof claims["sub"] === "string" ? claims["sub"] : "",
      expireTime: typeof claims["exp"] === "number" ? claims["exp"] * 1_000 : undefined,
      tenants: new Map(pairs.filter((pair): pair is [string, Role] => ROLES.includes(pair[1] as Role))),
    };
  } catch {
    return undefined;
  }
}

export function holds(role: Role | undefined, least: Role): boolean {
  return role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(least);
}
