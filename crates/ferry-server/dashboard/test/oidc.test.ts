import assert from "node:assert/strict";
import test from "node:test";
import { token } from "../dev/tokens";
import { challengeOf } from "../src/auth/oidc";
import { holds, readClaims } from "../src/auth/token";

// RFC 7636, appendix B.
test("the PKCE challenge is that of the RFC", async () => {
  assert.equal(await challengeOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
});

test("a token tells its holder, its tenants and when it ends", () => {
  const claims = readClaims(token("maria", { acme: "administrator", other: "viewer" }, 60));
  assert.equal(claims?.subject, "maria");
  assert.deepEqual([...(claims?.tenants ?? [])], [["acme", "administrator"], ["other", "viewer"]]);
  assert.ok(Math.abs((claims?.expireTime ?? 0) - Date.now() - 60_000) < 2_000);
  assert.equal(readClaims("no token"), undefined);
  assert.equal(readClaims("a.b.c"), undefined);
  assert.equal(readClaims(token("maria", { acme: "king" as never }))?.tenants.size, 0);
});

test("each role includes those before it", () => {
  assert.ok(holds("administrator", "viewer") && holds("viewer", "viewer"));
  assert.ok(!holds("viewer", "contributor") && !holds(undefined, "viewer"));
});
