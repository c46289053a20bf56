// An error as gRPC-Web brings it from the fake server's adapter is read with its reason and its resource.

import assert from "node:assert/strict";
import test from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { problemOf } from "../src/api/details";
import { ExportService } from "../src/gen/ferry/v1/export_service_pb";
import { startFake } from "../dev/fake";
import { token } from "../dev/tokens";

test("reason and resource of an error are read", async () => {
  const fake = await startFake({ dist: "." });
  try {
    const client = (bearer: string) => createClient(ExportService, createGrpcWebTransport({
      baseUrl: fake.url, httpVersion: "1.1",
      interceptors: [(next) => (request) => (request.header.set("authorization", `Bearer ${bearer}`), next(request))],
    }));
    const name = "tenants/acme/exports/newsletter-readers";
    const admin = client(token("maria", { acme: "administrator" }));
    const running = await admin.runExport({ name }).then(() => assert.fail(), problemOf);
    assert.equal(running.code, Code.AlreadyExists);
    assert.equal(running.reason, "RUN_IN_PROGRESS");
    assert.match(running.resource ?? "", /\/runs\//);
    const denied = await client(token("intern", { acme: "viewer" })).runExport({ name }).then(() => assert.fail(), problemOf);
    assert.equal(denied.reason, "ROLE_TOO_LOW");
    const nobody = await client("none").runExport({ name }).then(() => assert.fail(), problemOf);
    assert.equal(nobody.code, Code.Unauthenticated);
  } finally {
    await fake.close();
  }
});

test("what is no error of Ferry has no reason", () => {
  assert.deepEqual(problemOf(new TypeError("network error")).reason, "");
});
