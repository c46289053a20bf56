// The details of an error that the page uses, read from their wire form: google.rpc's definitions are not generated,
// since three small messages are all there is to read.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";

export interface Problem {
  code: Code;
  /** An ErrorReason without prefix; empty where the error came from no Ferry. */
  reason: string;
  /** The server's own words, in English. */
  message: string;
  retryAfterMs?: number;
  requestId?: string;
  /** The resource that is there already, or is missing. */
  resource?: string;
}

/** The texts and the nested messages of a message, by field number. */
function fields(bytes: Uint8Array): Map<number, Uint8Array | bigint> {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, Uint8Array | bigint>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) found.set(number, reader.bytes());
    else if (type === WireType.Varint) found.set(number, BigInt(reader.int64()));
    else reader.skip(type, number);
  }
  return found;
}

function text(bytes: Uint8Array, number: number): string {
  const found = fields(bytes).get(number);
  return found instanceof Uint8Array ? new TextDecoder().decode(found) : "";
}

function duration(bytes: Uint8Array): number {
  const found = fields(bytes);
  const number = (place: number): number => {
    const value = found.get(place);
    return typeof value === "bigint" ? Number(value) : 0;
  };
  return number(1) * 1_000 + number(2) / 1e6;
}

/** Whatever was thrown by a call, as the page speaks of it. */
export function problemOf(thrown: unknown): Problem {
  const error = ConnectError.from(thrown);
  const problem: Problem = { code: error.code, reason: "", message: error.rawMessage };
  for (const detail of error.details) {
    if (!("type" in detail)) continue;
    try {
      switch (detail.type) {
        case "google.rpc.ErrorInfo":
          if (text(detail.value, 2) === "ferry.v1") problem.reason = text(detail.value, 1);
          break;
        case "google.rpc.RetryInfo": {
          const delay = fields(detail.value).get(1);
          if (delay instanceof Uint8Array) problem.retryAfterMs = duration(delay);
          break;
        }
        case "google.rpc.RequestInfo":
          problem.requestId = text(detail.value, 1);
          break;
        case "google.rpc.ResourceInfo":
          problem.resource = text(detail.value, 2);
          break;
      }
    } catch {
      // A detail that cannot be read says nothing; code and message still stand.
    }
  }
  return problem;
}
