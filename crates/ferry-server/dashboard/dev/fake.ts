// A server for developing the dashboard and for its tests. It answers the public API over gRPC-Web with made-up data,
// keeps nothing, checks no signature, and is no part of the product.

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { clone, create } from "@bufbuild/protobuf";
import { type Any, AnySchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { readClaims, type Role, holds } from "../src/auth/token";
import { AuditService } from "../src/gen/ferry/v1/audit_service_pb";
import { Connection_State, ConnectionSchema } from "../src/gen/ferry/v1/connection_pb";
import { ConnectionService } from "../src/gen/ferry/v1/connection_service_pb";
import { DestinationTypeSchema } from "../src/gen/ferry/v1/destination_type_pb";
import { ExportSchema } from "../src/gen/ferry/v1/export_pb";
import { ExportService } from "../src/gen/ferry/v1/export_service_pb";
import { type Run, RunSchema, Run_State } from "../src/gen/ferry/v1/run_pb";
import { RunService } from "../src/gen/ferry/v1/run_service_pb";
import { startIssuer } from "./issuer";
import { token as makeToken } from "./tokens";
import { World } from "./world";

export interface Options {
  port?: number;
  dist: string;
  /** How many times as fast as real runs move. */
  speed?: number;
  oidc?: boolean;
  heartbeatMs?: number;
}

export interface Fake {
  url: string;
  server: Server;
  worlds: Map<string, World>;
  close(): Promise<void>;
}

/** An error with an ErrorInfo, and a ResourceInfo where there is something to name. */
function refuse(code: Code, reason: string, message: string, resource?: string): ConnectError {
  const detail = (type: string, fields: [number, string][]): Any => {
    const writer = new BinaryWriter();
    for (const [number, text] of fields) writer.tag(number, 2).string(text);
    return create(AnySchema, { typeUrl: `type.googleapis.com/${type}`, value: writer.finish() });
  };
  const error = new ConnectError(message, code);
  const details = [detail("google.rpc.ErrorInfo", [[1, reason], [2, "ferry.v1"]])];
  if (resource) details.push(detail("google.rpc.ResourceInfo", [[1, "run"], [2, resource]]));
  error.details = details.map((any) => ({ type: any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1), value: any.value }));
  return error;
}

function routes(worlds: Map<string, World>, heartbeatMs: number) {
  const enter = (context: HandlerContext, name: string, least: Role): { world: World; who: string; role: Role } => {
    const claims = readClaims((context.requestHeader.get("authorization") ?? "").replace(/^Bearer /, ""));
    if (!claims || (claims.expireTime ?? 0) < Date.now()) throw refuse(Code.Unauthenticated, "TOKEN_INVALID", "no valid token");
    const tenant = name.split("/")[1] ?? "";
    const role = claims.tenants.get(tenant);
    const world = worlds.get(tenant);
    if (!world || !holds(role, least)) throw refuse(Code.PermissionDenied, "ROLE_TOO_LOW", "not allowed for this caller");
    return { world, who: claims.subject, role: role as Role };
  };
  const page = <T>(items: T[], size: number, token: string): [T[], string] => {
    const [from, length] = [Number(token || 0), Math.min(size || 50, 500)];
    return [items.slice(from, from + length), from + length < items.length ? String(from + length) : ""];
  };
  const findRun = (world: World, name: string): Run => {
    const run = world.runs.get(name);
    if (!run) throw refuse(Code.NotFound, "RESOURCE_NOT_FOUND", `run \`${name}\` does not exist`, name);
    return clone(RunSchema, run);
  };

  return (router: ConnectRouter): void => {
    router.service(RunService, {
      getRun: ({ name }, context) => ({ run: findRun(enter(context, name, "viewer").world, name) }),
      listRuns: ({ parent, pageSize, pageToken }, context) => {
        const { world } = enter(context, parent, "viewer");
        const time = (run: Run): bigint => run.createTime?.seconds ?? 0n;
        const [runs, nextPageToken] = page([...world.runs.values()].sort((a, b) => Number(time(b) - time(a))), pageSize, pageToken);
        return { runs, nextPageToken };
      },
      cancelRun: ({ name }, context) => {
        const { world, who } = enter(context, name, "contributor");
        const run = findRun(world, name);
        if (run.endTime) throw refuse(Code.FailedPrecondition, "RUN_NOT_CANCELLABLE", "the run has ended");
        return { run: world.cancel(run, who) };
      },
      approveRun: ({ name, etag }, context) => {
        const { world, who } = enter(context, name, "administrator");
        const run = findRun(world, name);
        if (run.startedBy === who) throw refuse(Code.PermissionDenied, "OWN_RUN", "another administrator must approve it");
        if (run.state !== Run_State.AWAITING_APPROVAL) throw refuse(Code.FailedPrecondition, "RUN_NOT_HELD", "it does not wait");
        if (etag && etag !== run.etag) throw refuse(Code.Aborted, "ETAG_MISMATCH", "it was changed");
        run.state = Run_State.PROCESSING;
        if (run.approval) { run.approval.approvedBy = who; run.approval.approveTime = timestampFromMs(Date.now()); }
        return { run: world.change(run) };
      },
      listRejectedProfiles: ({ name, pageSize, pageToken }, context) => {
        const { world } = enter(context, name, "contributor");
        const [rejectedProfiles, nextPageToken] = page(world.rejected(findRun(world, name)), pageSize, pageToken);
        return { rejectedProfiles, nextPageToken };
      },
      async *watchRuns({ parent, resumeToken }, context) {
        const { world } = enter(context, parent, "viewer");
        const token = (sequence: number): string => Buffer.from(`${world.tenant}:${sequence}`).toString("base64url");
        let at = world.sequence;
        if (resumeToken) {
          const [tenant, sequence] = Buffer.from(resumeToken, "base64url").toString().split(":");
          if (tenant !== world.tenant) throw refuse(Code.InvalidArgument, "INVALID_FIELDS", "a token of another parent");
          at = Number(sequence);
          if (at < (world.log[0]?.sequence ?? 1) - 1) throw refuse(Code.OutOfRange, "RESUME_TOKEN_EXPIRED", "the token is too old");
        } else {
          for (const run of [...world.runs.values()].filter((run) => !run.endTime)) yield { event: { case: "run", value: run }, resumeToken: "" };
          yield { event: { case: "snapshotComplete", value: true }, resumeToken: token(at) };
        }
        while (!context.signal.aborted) {
          const news = world.log.filter((logged) => logged.sequence > at);
          for (const { run, sequence } of news) {
            at = sequence;
            yield { event: { case: "run", value: run }, resumeToken: token(sequence) };
          }
          if (news.length > 0) continue;
          const before = world.sequence;
          await world.next(heartbeatMs, context.signal);
          if (world.sequence === before) yield { event: { case: "heartbeat", value: true }, resumeToken: token(at) };
        }
      },
    });
    router.service(ExportService, {
      listExports: ({ parent, pageSize, pageToken }, context) => {
        const { world, role } = enter(context, parent, "viewer");
        const all = [...world.exports.values()].map((found) => {
          const shown = clone(ExportSchema, found);
          if (role === "viewer") shown.permissions = undefined;
          const latest = [...world.runs.values()].filter((run) => run.export === found.name && !run.dryRun).at(-1);
          if (latest) { shown.latestRun = latest.name; shown.latestRunSummary = latest; }
          return shown;
        });
        const [exports, nextPageToken] = page(all, pageSize, pageToken);
        return { exports, nextPageToken };
      },
      runExport: ({ name }, context) => {
        const { world, who } = enter(context, name, "contributor");
        const found = world.exports.get(name);
        if (!found) throw refuse(Code.NotFound, "RESOURCE_NOT_FOUND", "no such export", name);
        const going = [...world.runs.values()].find((run) => run.export === name && !run.endTime);
        if (going) throw refuse(Code.AlreadyExists, "RUN_IN_PROGRESS", "a run goes on", going.name);
        return { run: world.start(found, who) };
      },
      planExport: ({ name }, context) => {
        const { world, who } = enter(context, name, "contributor");
        const found = world.exports.get(name);
        if (!found) throw refuse(Code.NotFound, "RESOURCE_NOT_FOUND", "no such export", name);
        return { run: world.start(found, who, true) };
      },
    });
    router.service(ConnectionService, {
      listConnections: ({ parent }, context) => {
        const { world, role } = enter(context, parent, "contributor");
        const all = [...world.connections.values()];
        if (role === "administrator") return { connections: all };
        const shared = all.filter((one) => one.access === 2);
        return { connections: shared.map(({ name, displayName, destinationType }) => create(ConnectionSchema, { name, displayName, destinationType })) };
      },
      verifyConnection: ({ name }, context) => {
        const { world } = enter(context, name, "administrator");
        const found = world.connections.get(name);
        if (!found) throw refuse(Code.NotFound, "RESOURCE_NOT_FOUND", "no such connection", name);
        if (found.stateReason) return { connection: found, outcome: found.stateReason };
        const connection = clone(ConnectionSchema, found);
        connection.state = Connection_State.READY;
        world.connections.set(name, connection);
        return { connection, outcome: "OK" };
      },
      listDestinationTypes: ({ parent }, context) => {
        enter(context, parent, "viewer");
        return {
          destinationTypes: [create(DestinationTypeSchema, {
            id: "activecampaign", displayName: "ActiveCampaign", rowsPerRequest: 250, bytesPerRequest: 399_999,
            rateLimits: [
              { what: "imports of several contacts", requests: 100, window: { seconds: 60n } },
              { what: "imports of one contact", requests: 20, window: { seconds: 60n } },
              { what: "requests", requests: 5, window: { seconds: 1n } },
            ],
          })],
        };
      },
    });
    router.service(AuditService, {
      listAuditEntries: ({ parent, pageSize, pageToken, filter }, context) => {
        const { world } = enter(context, parent, "administrator");
        const kind = /kind = "([A-Z_]+)"/.exec(filter)?.[1];
        const chain = parent.split("/").length === 2 ? world.ledger.own : (world.ledger.runs.get(parent) ?? []);
        const found = chain.filter((entry) => !kind || entry.kind === kind).reverse();
        const [auditEntries, nextPageToken] = page(found, pageSize, pageToken);
        return { auditEntries, nextPageToken };
      },
      async *exportAuditLog({ parent }, context) {
        yield* enter(context, parent, "administrator").world.ledger.export();
      },
      getCheckpoint: ({ parent }, context) => {
        const checkpoint = enter(context, parent, "viewer").world.ledger.newest();
        if (!checkpoint) throw refuse(Code.NotFound, "RESOURCE_NOT_FOUND", "nothing is signed yet");
        return { checkpoint };
      },
    });
  };
}

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
};

async function files(dist: string, issuer: string | undefined, scale: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://fake").pathname;
  if (path === "/config.json") {
    const oidc = issuer ? { issuer, clientId: "ferry-dashboard", scope: "openid ferry" } : null;
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify({ oidc, ...(scale > 1 ? { developmentTimeScale: scale } : {}) }));
    return;
  }
  const file = join(dist, normalize(path === "/" ? "/index.html" : path));
  try {
    const body = await readFile(file);
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "cache-control": "no-cache",
      "content-security-policy": `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'${issuer ? ` ${issuer}` : ""}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

export async function startFake(options: Options): Promise<Fake> {
  const speed = options.speed ?? 1;
  const worlds = new Map([["acme", new World("acme", true, speed)], ["quiet", new World("quiet", false, speed)]]);
  const issuer = options.oidc ? await startIssuer(() => makeToken("maria.santos@acme.example", { acme: "administrator", quiet: "administrator" })) : undefined;
  const server = createServer(connectNodeAdapter({
    routes: routes(worlds, options.heartbeatMs ?? 15_000),
    grpc: false,
    fallback: (request, response) => void files(options.dist, issuer?.url, speed, request as IncomingMessage, response as ServerResponse),
  }));
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url, server, worlds,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await issuer?.close();
    },
  };
}
