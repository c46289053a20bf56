#!/usr/bin/env python3
"""A second verifier of Ferry's audit exports, written from the format alone. Python's standard library is enough.
verify.py FILE KEY [KEPT]...    prints `ok` or `bad: <chain> <number>`; exits with 0, 1 or 2
verify.py --batch LIST          the same for each line of LIST, where tabs part the words"""
import base64, collections, functools, hashlib, io, json, os, re, struct, sys, types
OBJECT, BODY, PRIME = 1 << 20, 64 * 1024, 2**255 - 19
ORDER, D = 2**252 + 27742317777372353535851937790883648493, -121665 * pow(121666, -1, PRIME) % PRIME
sha, half = lambda *parts: hashlib.sha256(b"".join(parts)).digest(), lambda size: 1 << (size - 1).bit_length() - 1
node = lambda left, right: sha(b"\1", left, right)
Some, Bad, Digits = types.SimpleNamespace, type("Bad", (Exception,), {}), type("Digits", (str,), {})
def need(holds, *place):
    if not holds: raise Bad(*place)
def add(p, q):  # --- Ed25519 (RFC 8032)
    (a, b), (c, d), k = p, q, D * p[0] * p[1] * q[0] * q[1] % PRIME
    return (a * d + b * c) * pow(1 + k, -1, PRIME) % PRIME, (b * d + a * c) * pow(1 - k, -1, PRIME) % PRIME
times = lambda n, p: add(times(n >> 1, add(p, p)), p if n & 1 else (0, 1)) if n else (0, 1)
def point(data):
    y = int.from_bytes(data, "little") % 2**255
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    x = root if (root * root - square) % PRIME == 0 else root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return (x if x & 1 == data[31] >> 7 else PRIME - x, y) if (x * x - square) % PRIME == 0 else None
@functools.lru_cache(10_000)
def signed(public, message, signature):
    a, s = point(public), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    if len(signature) != 64 or s >= ORDER or a is None: return False
    x, y = add(times(s, point(b"\x58" + b"\x66" * 31)), times(h, (-a[0], a[1])))
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]
def b64(text, size=None):  # --- texts, notes and checkpoints (C2SP)
    try: return next(d for d in [base64.b64decode(text)] if len(d) == (size or len(d)) and base64.b64encode(d) == text.encode())
    except (ValueError, StopIteration): return None
def decimal(text, limit=2**64):
    return int(text) if re.fullmatch("0|[1-9][0-9]{0,19}", text or "") and int(text) < limit else None
unhex = lambda text: bytes.fromhex(text) if re.fullmatch("[0-9a-f]{64}", text) else None
def hashes(texts): return None if len(texts) > 64 or not all(b64(t, 32) for t in texts) else [b64(t) for t in texts]
def vkey(text):  # (name, id, public key), or None
    name, key_id, data = (text.split("+", 2) + ["", ""])[:3]
    data = b64(data, 33)
    if not data or data[0] != 1 or not name or re.search(r"\s", name): return None
    return (name, key_id, data[1:]) if key_id == sha(name.encode(), b"\n", data)[:4].hex() else None
def opened(note, keys):  # the text of a note that one of the keys has signed, or None
    match = re.fullmatch("([^\0-\x09\x0b-\x1f]*\n)\n((?:\u2014 [^\\s+]+ [^\\s]+\n){1,100})", note[:BODY + 1])
    lines = [(name, b64(data) or b"") for _, name, data in map(str.split, match[2].split("\n")[:-1])] if match else []
    by = [(key[2], data[4:]) for name, data in lines for key in keys if key[:2] == (name, data[:4].hex())]
    good = by and len(note.encode()) <= BODY and all(len(data) > 4 for _, data in lines)
    return match[1] if good and all(signed(key, match[1].encode(), data) for key, data in by) else None
def checkpoint(text):
    lines = (text or "")[:-1].split("\n")
    extra = lambda name: [value for key, _, value in (line.partition(" ") for line in lines[3:]) if key == name]
    times, keys = extra("time"), extra("next-key")
    if not all(lines) or len(times) != 1 or not re.fullmatch("0|-?[1-9][0-9]{0,18}", times[0]): return None
    found = Some(origin=lines[0], size=decimal(lines[1]), root=b64(lines[2], 32), next=vkey(keys[0]) if keys else None)
    good = -2**63 <= int(times[0]) < 2**63 and found.size is not None and found.root
    return found if good and len(keys) == (found.next is not None) else None
def included(leaf, index, size, proof):  # --- the tree (RFC 6962): the root, or None
    if size == 1 or not proof or index >= size: return leaf if (index, size, proof) == (0, 1, []) else None
    k, rest, last = half(size), proof[:-1], proof[-1]
    found = included(leaf, index, k, rest) if index < k else included(leaf, index - k, size - k, rest)
    return found and (node(found, last) if index < k else node(last, found))
def grown(old, size, proof, known):  # the roots of the old tree and of the new, or None
    if old == size and len(proof) == (not known): return (known or proof[0],) * 2
    if old == size or not proof: return None, None
    k, rest, last = half(size), proof[:-1], proof[-1]
    before, after = grown(old, k, rest, known) if old <= k else grown(old - k, size - k, rest, None)
    if old > k: return before and node(last, before), after and node(last, after)
    return before, after and node(after, last)
def extends(old, new, proof):
    if 0 < old.size < new.size: return grown(old.size, new.size, proof, old.root) == (old.root, new.root)
    return not proof and (0 == old.size < new.size or (old.size, old.root) == (new.size, new.root))
FIELDS = {"log": "tenant tenantUid origin", "entry": "chain number# encoded bodyHash hash",  # --- the file
          "checkpoint": "note publicKey leafIndex# entries# inclusionProof* consistencyProof*"}
def objects(lines):  # each with the line that it begins in
    lines, trim = enumerate(lines, 1), lambda line: line.rstrip(b" \t\r\n\f")
    for begin, raw in lines:
        line = raw if trim(raw) == b"{" else b"}"
        while trim(line) != b"}" and len(raw) <= OBJECT:
            line = next(lines, (0, b""))[1]
            raw += line or b" " * OBJECT  # the file ends in the middle
        need(len(raw) <= OBJECT and (raw[:1] == b"{" or not trim(raw)), "line", begin)
        if trim(raw): yield begin, raw
def parse(raw):
    unique = lambda pairs: need(len(dict(pairs)) == len(pairs)) or dict(pairs)
    data = json.loads(raw.decode(), parse_int=Digits, parse_constant=int, object_pairs_hook=unique)
    (kind,), part = (kind for kind in FIELDS if data.get(kind) is not None), Some()
    for name, form in re.findall(r"(\w+)([#*]?)", FIELDS[kind]):
        value = data[kind].get(name, {"#": "0", "*": []}.get(form, ""))
        need(form != "*" or type(value) is list)
        for text in value if form == "*" else [value]: need(type(text) in (str, form == "#" and Digits) and text.encode() != 0)
        setattr(part, name, decimal(value) if form == "#" else value)
        need(getattr(part, name) is not None)
    return kind, part
def decode(body):
    at, count, fields = 1, None, []
    while at < len(body):
        size, at = struct.unpack_from(">I", body, at)[0], at + 4
        if len(fields) == 13 and count is None: count, size = size, 0
        else: fields.append(body[at:at + size])
        at += size
    need(body[0] == 1 and at == len(body) <= BODY and count is not None and len(fields) == 13 + 2 * count)
    need(fields[13::2] == sorted(set(fields[13::2])) and fields[9] in (b"\1", b"\2", b"\3"))
    need(len(fields[2]) == len(fields[3]) == 8 and any(fields[2]))
    texts = ["" if place in (2, 3, 9) else field.decode() for place, field in enumerate(fields)]
    place, get = (texts[0], texts[1], int.from_bytes(fields[2], "big")), dict(zip(texts[13::2], texts[14::2])).get
    return Some(place=place, kind=texts[4], thing=texts[8], get=get)
def verify(lines, trusted, kept):  # --- the log
    log, own, last, covered, vouched, sealed, keys, older, applied, sizes = None, "", None, 0, False, 0, [], [], {}, {}
    chains = collections.defaultdict(lambda: Some(hashes=[bytes(32)], gone=[], known={}, pending=[], named=0, proved=0, ended=None))
    run_of = lambda name: (re.fullmatch(re.escape(own) + "/exports/[^/]+/runs/([^/]+)", name) or [None, None])[1]
    def proved(part, size):  # the root of the tree that holds the own chain up to there, or None
        tenant = sha(b"ferry/tenant/1\n", log.tenant.encode(), b"\0", log.tenantUid.encode())
        leaf = sha(b"\0", tenant, part.entries.to_bytes(8, "big"), chains[own].hashes[part.entries])
        return included(leaf, part.leafIndex, size, hashes(part.inclusionProof) or [])
    def check(name, entries, head, at):
        run = chains[name]
        if run.hashes[entries] != head: raise Bad(own, at) if entries == run.proved else Bad(name, run.proved + 1)
        run.proved = entries
    def anchor(number, kind, name, entries, head):
        need(run_of(name), own, number)
        if (kind, entries, head) == ("RUN_STARTED", None, None): return
        run, entries, head = chains[name], decimal(entries), unhex(head or "")
        need(entries is not None and head and entries >= run.named, own, number)
        need(kind != "RUN_ENDED" or run.ended in (None, entries), own, number)
        run.named, run.ended = entries, entries if kind == "RUN_ENDED" else run.ended
        run.pending.append((entries, head, number)) if run.hashes[entries:] == [] else check(name, entries, head, number)
        need(run.ended is None or len(run.hashes) <= run.ended + 1, name, (run.ended or 0) + 1)
    def entry(name, number, part):
        run = "" if name == own else run_of(name)
        need(run is not None, name, number)
        chain, body_hash, body = chains[name], b64(part.bodyHash, 32), b64(part.encoded)
        need(number == len(chain.hashes), name, len(chain.hashes))
        need(body_hash and body is not None and (not body or sha(b"ferry/entry/1\n", body) == body_hash), name, number)
        chain.hashes.append(sha(b"ferry/link/1\n", chain.hashes[-1], body_hash))
        need(b64(part.hash) == chain.hashes[-1], name, number)
        if not body: chain.gone.append(number)
        try: view = decode(body) if body else Some(kind=None, place=(log.tenant, run, number))
        except (Bad, ValueError, struct.error): raise Bad(name, number)
        need(view.place == (log.tenant, run, number) and (chain.ended is None or number <= chain.ended), name, number)
        if name != own:
            if view.kind in ("EGRESS_INTENT", "EGRESS_OUTCOME"):
                attempt, outcome = view.get("attempt"), view.kind == "EGRESS_OUTCOME"
                states = (None,) if not outcome else (False, None) if chain.gone else (False,)
                need(attempt is not None and chain.known.get(attempt) in states, name, number)
                chain.known[attempt] = outcome
            while chain.pending and chain.pending[0][0] == number: check(name, *chain.pending.pop(0))
        elif view.kind in ("RUN_STARTED", "RUN_ANCHORED", "RUN_ENDED"):
            anchor(number, view.kind, view.thing, view.get("run_entries"), view.get("run_head"))
        elif view.kind == "RETENTION_APPLIED":
            which, counts = view.get("chain"), [decimal(view.get(key)) for key in ("through", "policy", "days")]
            need(which is not None and None not in counts, name, number)
            applied[which] = max(counts[0], applied.get(which, 0))
        elif view.kind == "DATABASE_RESTORED": older.append((view.get("origin"), decimal(view.get("size")) or 0))
    def seal(part, *here):
        nonlocal last, covered, vouched
        key, proofs = vkey(part.publicKey), (hashes(part.inclusionProof), hashes(part.consistencyProof))
        new, old = checkpoint(key and opened(part.note, [key])), last or Some(size=0, root=sha())
        need(new and log.origin == new.origin == key[0] == (new.next or key)[0] and key == (keys or [key])[-1], *here)
        need(None not in proofs and extends(old, new, proofs[1]) and not 0 < part.entries < covered, *here)
        if part.entries:
            need(part.entries < len(chains[own].hashes), own, len(chains[own].hashes))
            need(proved(part, new.size) == new.root, *(here if part.entries == covered else (own, covered + 1)))
        last, covered, vouched, sizes[new.size] = new, part.entries or covered, vouched or key == trusted, new.root
        keys.extend(([] if keys else [key]) + ([new.next] if new.next else []))
    for begin, raw in objects(lines):
        try: kind, part = parse(raw)
        except (Bad, ValueError, AttributeError, TypeError, RecursionError): raise Bad("line", begin)
        need((kind == "log") == (log is None), "line", begin)
        if kind == "log": log, own = part, f"tenants/{part.tenant}" if part.tenant else "operator"
        elif kind == "entry": entry(part.chain, part.number, part)
        else: seal(part, "checkpoint", sealed := sealed + 1)
    need(log, "line", 1)
    for _, n in sorted((c.pending[0][2], n) for n, c in chains.items() if c.pending): need(0, n, len(chains[n].hashes))
    for name in sorted(chains, key=lambda name: (name != own, name)):
        for number in chains[name].gone: need(number <= applied.get(name, 0), name, number)
    need(vouched, "checkpoint", 1)
    need(covered or all(len(chain.hashes) == 1 for chain in chains.values()), own, 1)
    keys.append(trusted)
    for n, part in enumerate(kept, 1):
        old = checkpoint(part.note[:part.note.rfind("\n\n") + 1]) or need(False, "pinned", n)
        if old.origin == log.origin:
            good = old.size <= last.size and sizes.get(old.size, old.root) == old.root
            need(good and opened(part.note, keys), "pinned", n)
            need(not part.entries or part.entries < len(chains[own].hashes) and proved(part, old.size) == old.root, "pinned", n)
            if old.next: keys.append(old.next)
        else: need(any(old.origin == origin and old.size <= size for origin, size in older), "pinned", n)
def kept_in(text):  # what GetCheckpoint answers, or notes
    if text.startswith("{"): return [parse(raw)[1] for _, raw in objects(io.BytesIO(text.encode()))]
    return [Some(note=note, entries=0) for note in re.findall("(?s)(.+?\n\n(?:\u2014 [^\n]*\n)+)", text)]
def judge(path, key, *files):
    try:
        key = vkey(open(key).read().strip() if os.path.exists(key) else key)
        kept = [part for name in files for part in kept_in(open(name, newline="").read())]
        if not key or files and not kept: raise ValueError("no verifier key, or no notes")
        with open(path, "rb") if path != "-" else sys.stdin.buffer as file: return verify(file, key, kept) or print("ok") or 0
    except (OSError, ValueError) as error: return print("unreadable:", error) or 2
    except Bad as bad: return print("bad:", re.sub("[^!-~]", "?", str(bad.args[0])), bad.args[1]) or 1
if __name__ == "__main__":
    if len(sys.argv) < 3: sys.exit(print(__doc__) or 2)
    lines = open(sys.argv[2]) if sys.argv[1] == "--batch" else ["\t".join(sys.argv[1:])]
    sys.exit(max([judge(*line.rstrip("\n").split("\t")) for line in lines]))
