// Checkpoints and their keys in the text forms of C2SP: signed-note, vkey, tlog-checkpoint.

import { type Bytes, concat, equal, fromBase64, hex, sha256, utf8 } from "./bytes";

const ED25519_TYPE = 1;
const MAX_NOTE = 64 * 1024;
const MAX_SIGNATURES = 100;

export interface VerifierKey {
  text: string;
  name: string;
  id: Bytes;
  publicKey: Bytes;
}

/** Reads `<name>+<8 hex digits>+<base64>`. Undefined if it is no Ed25519 key, or the id does not belong to it. */
export async function parseKey(text: string): Promise<VerifierKey | undefined> {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  const bytes = fromBase64(encoded ?? "");
  if (!name || !bytes || bytes.length !== 33 || bytes[0] !== ED25519_TYPE) return undefined;
  const own = (await sha256(utf8(name), utf8("\n"), bytes)).slice(0, 4);
  return hex(own) === id ? { text, name, id: own, publicKey: bytes.slice(1) } : undefined;
}

/** What a signature check came to. A browser without Ed25519 can tell nothing. */
export type Signature = "good" | "bad" | "unknown-key" | "unsupported";

export interface Opened {
  text: string;
  signature: Signature;
}

/** Takes a note apart and checks the signature of one key. Undefined if it is no note at all. */
export async function openNote(note: string, key: VerifierKey): Promise<Opened | undefined> {
  // eslint-disable-next-line no-control-regex -- a note holds no control character but line feeds
  if (note.length > MAX_NOTE || /[\0-\x09\x0b-\x1f]/.test(note) || !note.endsWith("\n")) return undefined;
  const split = note.lastIndexOf("\n\n");
  if (split < 0) return undefined;
  const text = note.slice(0, split + 1);
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) return undefined;
  let signature: Signature = "unknown-key";
  for (const line of lines) {
    const [, name, encoded] = /^\u2014 ([^\s+]+) (\S+)$/.exec(line) ?? [];
    const bytes = fromBase64(encoded ?? "");
    if (!name || !bytes || bytes.length <= 4) return undefined;
    if (name !== key.name || !equal(bytes.subarray(0, 4), key.id)) continue;
    const found = await checkSignature(key, bytes.slice(4), text);
    if (found === "bad") return { text, signature: "bad" };
    signature = found;
  }
  return { text, signature };
}

async function checkSignature(key: VerifierKey, signature: Bytes, text: string): Promise<Signature> {
  let imported: CryptoKey;
  try {
    imported = await crypto.subtle.importKey("raw", key.publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return "unsupported";
  }
  return (await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, utf8(text))) ? "good" : "bad";
}

export interface CheckpointText {
  origin: string;
  size: bigint;
  root: Bytes;
  timeMs: number;
  nextKey?: VerifierKey;
}

/** Reads the text of a note: origin, size, root, then extension lines, of which unknown ones are passed over. */
export async function parseCheckpoint(text: string): Promise<CheckpointText | undefined> {
  if (!text.endsWith("\n")) return undefined;
  const lines = text.slice(0, -1).split("\n");
  if (lines.some((line) => line === "")) return undefined;
  const [origin, size, encoded, ...extensions] = lines;
  const root = fromBase64(encoded ?? "");
  if (!origin || !/^(0|[1-9][0-9]{0,19})$/.test(size ?? "") || root?.length !== 32) return undefined;
  const all = (name: string): string[] =>
    extensions.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  const [times, keys] = [all("time"), all("next-key")];
  if (times.length !== 1 || keys.length > 1 || !/^(0|-?[1-9][0-9]{0,18})$/.test(times[0] ?? "")) return undefined;
  const nextKey = keys[0] === undefined ? undefined : await parseKey(keys[0]);
  if (keys.length === 1 && !nextKey) return undefined;
  return { origin, size: BigInt(size as string), root, timeMs: Number(times[0]), nextKey };
}

/** The first bytes of a key's hash, in groups, for people to compare. */
export async function fingerprint(key: VerifierKey): Promise<string> {
  const bytes = hex(await sha256(concat(Uint8Array.of(ED25519_TYPE), key.publicKey)));
  return (bytes.slice(0, 32).match(/.{4}/g) ?? []).join(" ");
}
