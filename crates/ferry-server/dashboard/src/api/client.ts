// The public API over gRPC-Web, with the session's token.

import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuditService } from "../gen/ferry/v1/audit_service_pb";
import { ConnectionService } from "../gen/ferry/v1/connection_service_pb";
import { ExportService } from "../gen/ferry/v1/export_service_pb";
import { RunService } from "../gen/ferry/v1/run_service_pb";

/** For calls with one answer. A stream has no time limit of its own. */
export const UNARY = { timeoutMs: 30_000 };

export function createApi(token: () => string, transport?: Transport) {
  const bearer: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token()}`);
    return next(request);
  };
  const wire = transport ?? createGrpcWebTransport({ baseUrl: location.origin, interceptors: [bearer] });
  return {
    audit: createClient(AuditService, wire),
    connections: createClient(ConnectionService, wire),
    exports: createClient(ExportService, wire),
    runs: createClient(RunService, wire),
  };
}

export type Api = ReturnType<typeof createApi>;
