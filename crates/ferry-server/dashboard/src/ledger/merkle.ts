// The tree over all chains (RFC 6962), and how its proofs are checked (RFC 9162, 2.1.3 and 2.1.4).

import { type Bytes, concat, equal, sha256, u64, utf8 } from "./bytes";

export const nodeHash = (left: Uint8Array, right: Uint8Array): Promise<Bytes> =>
  sha256(Uint8Array.of(1), left, right);

export const emptyRoot = (): Promise<Bytes> => sha256();

/** The leaf that says: the chain of this tenant ends, with this number, in this hash. */
export async function leafHash(tenant: string, uid: string, number: bigint, head: Uint8Array): Promise<Bytes> {
  const pseudonym = await sha256(utf8("ferry/tenant/1\n"), utf8(tenant), Uint8Array.of(0), utf8(uid));
  return sha256(Uint8Array.of(0), concat(pseudonym, u64(number), head));
}

/** Whether the proof shows that the leaf is number `index` (from 0) of the tree of this size and root. */
export async function verifyInclusion(
  leaf: Uint8Array,
  index: bigint,
  size: bigint,
  proof: Uint8Array[],
  root: Uint8Array,
): Promise<boolean> {
  if (index < 0n || index >= size) return false;
  let [place, last, hash] = [index, size - 1n, leaf];
  for (const sibling of proof) {
    if (last === 0n) return false;
    if ((place & 1n) === 1n || place === last) {
      hash = await nodeHash(sibling, hash);
      while ((place & 1n) === 0n && place !== 0n) {
        place >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    place >>= 1n;
    last >>= 1n;
  }
  return last === 0n && equal(hash, root);
}

export interface Tree {
  size: bigint;
  root: Uint8Array;
}

/** Whether the proof shows that the new tree begins with the old one. Every tree begins with the empty one. */
export async function verifyConsistency(old: Tree, now: Tree, proof: Uint8Array[]): Promise<boolean> {
  if (old.size === now.size) return proof.length === 0 && equal(old.root, now.root);
  if (old.size === 0n || old.size > now.size) return old.size === 0n && proof.length === 0;
  // A complete old tree is a node of the new one, and its root is not repeated in the proof.
  const complete = (old.size & (old.size - 1n)) === 0n;
  const first = complete ? old.root : proof[0];
  if (first === undefined) return false;
  let [place, last] = [old.size - 1n, now.size - 1n];
  while ((place & 1n) === 1n) {
    place >>= 1n;
    last >>= 1n;
  }
  let [before, after] = [first, first];
  for (const hash of complete ? proof : proof.slice(1)) {
    if (last === 0n) return false;
    if ((place & 1n) === 1n || place === last) {
      before = await nodeHash(hash, before);
      after = await nodeHash(hash, after);
      while ((place & 1n) === 0n && place !== 0n) {
        place >>= 1n;
        last >>= 1n;
      }
    } else {
      after = await nodeHash(after, hash);
    }
    place >>= 1n;
    last >>= 1n;
  }
  return last === 0n && equal(before, old.root) && equal(after, now.root);
}
