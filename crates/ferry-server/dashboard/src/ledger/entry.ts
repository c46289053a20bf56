// The canonical bytes of an audit entry, format 1 (`ferry-ledger`, entry/mod.rs): a version byte, thirteen fields and
// the details, each with its length before it.

export interface EntryBody {
  tenant: string;
  /** The id of the run whose chain it is in; empty in the tenant's own. */
  chain: string;
  number: bigint;
  timeMs: bigint;
  kind: string;
  actor: string;
  actorRole: string;
  requiredRole: string;
  object: string;
  /** 1 done, 2 denied, 3 failed: the numbers of AuditEntry.Result. */
  result: number;
  reason: string;
  correlationId: string;
  origin: string;
  details: Map<string, string>;
}

const VERSION = 1;
const MAX_BODY = 64 * 1024;

export class NotAnEntry extends Error {}

/** Reads canonical bytes. Throws NotAnEntry for whatever `encode` could not have made. */
export function decodeEntry(body: Uint8Array): EntryBody {
  if (body.length > MAX_BODY) throw new NotAnEntry("too long");
  if (body[0] !== VERSION) throw new NotAnEntry("version");
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let at = 1;
  const count = (): number => {
    if (at + 4 > body.length) throw new NotAnEntry("short");
    at += 4;
    return view.getUint32(at - 4);
  };
  const field = (): Uint8Array => {
    const size = count();
    if (at + size > body.length) throw new NotAnEntry("short");
    at += size;
    return body.subarray(at - size, at);
  };
  const text = (): string => {
    try {
      return decoder.decode(field());
    } catch (error) {
      if (error instanceof NotAnEntry) throw error;
      throw new NotAnEntry("text");
    }
  };
  const eight = (): DataView => {
    const bytes = field();
    if (bytes.length !== 8) throw new NotAnEntry("number");
    return new DataView(bytes.buffer, bytes.byteOffset, 8);
  };
  const one = (): number => {
    const bytes = field();
    const value = bytes[0] ?? 0;
    if (bytes.length !== 1 || value < 1 || value > 3) throw new NotAnEntry("result");
    return value;
  };
  const entry: EntryBody = {
    tenant: text(),
    chain: text(),
    number: eight().getBigUint64(0),
    timeMs: eight().getBigInt64(0),
    kind: text(),
    actor: text(),
    actorRole: text(),
    requiredRole: text(),
    object: text(),
    result: one(),
    reason: text(),
    correlationId: text(),
    origin: text(),
    details: new Map(),
  };
  if (entry.number === 0n) throw new NotAnEntry("number");
  let before: Uint8Array | undefined;
  for (let left = count(); left > 0; left -= 1) {
    const start = at;
    const key = text();
    const bytes = body.subarray(start + 4, at);
    if (before && compare(before, bytes) >= 0) throw new NotAnEntry("details");
    before = bytes;
    entry.details.set(key, text());
  }
  if (at !== body.length) throw new NotAnEntry("long");
  return entry;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let place = 0; place < Math.min(a.length, b.length); place += 1) {
    const difference = (a[place] as number) - (b[place] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
