"""The names in PromQL, held against the golden list of Ferry's metrics."""

import re

# What others tell of Ferry, and with which labels.
OTHERS = {
    "up": set(),
    "scrape_duration_seconds": set(),
    "target_info": {"service_name", "service_version"},
    "kubelet_volume_stats_available_bytes": {"persistentvolumeclaim", "namespace"},
    "kubelet_volume_stats_capacity_bytes": {"persistentvolumeclaim", "namespace"},
    "ALERTS": {"alertname", "alertstate", "severity"},
}
FROM_THE_SCRAPE = {"job", "instance"}
WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "or", "and", "unless", "offset", "bool"}
CODES = set(
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
    " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
    " UNAUTHENTICATED".split()
)
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def prometheus_names(golden):
    """Prometheus' names of the metrics in tests/golden/telemetry.txt, each with its labels."""
    found = {}
    labels = set()
    for line in golden.splitlines():
        head = re.match(r"(ferry\.[a-z_.]+) \((\w+), ([^)]+)\): ", line)
        if head:
            name, kind, unit = head.groups()
            name = name.replace(".", "_") + {"s": "_seconds", "1": "_ratio"}.get(unit, "")
            labels = {"le"} if kind == "Histogram" else set()
            ends = {"Histogram": ["_bucket", "_sum", "_count"], "Counter": ["_total"]}.get(kind, [""])
            # The lines that follow add to the one set.
            found.update((name + end, labels) for end in ends)
        elif line.startswith("span "):
            break
        elif line.startswith("  "):
            labels.add(line.strip().split(",")[0].replace(".", "_"))
    return found


def words_of(root):
    """The values that labels can have, by label: out of the code and the API, where they are given."""
    read = lambda path: (root / path).read_text(encoding="utf-8")
    told = set(re.findall(r'=> "([a-z0-9_]+)"', read("crates/ferry-telemetry/src/words.rs")))
    told |= set(re.findall(r'=> "([a-z0-9_]+)"', read("crates/ferry-telemetry/src/exchange.rs")))
    states = set(re.findall(r'Self::\w+ => "([a-z_]+)"', read("crates/ferry-domain/src/run.rs")))
    methods = set()
    for path in sorted((root / "proto/ferry/v1").glob("*.proto")):
        service = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if head := re.match(r"service (\w+)", line):
                service = head.group(1)
            elif call := re.match(r"\s+rpc (\w+)", line):
                methods.add(f"{service}/{call.group(1)}")
    return {
        "ferry_outcome": told,
        "ferry_step": told,
        "ferry_request_class": told,
        "ferry_request_status": told,
        "ferry_run_state": states,
        "rpc_response_status_code": CODES,
        "rpc_method": methods,
    }


def faults(expression, metrics, words):
    """What is wrong with the names in an expression."""
    known = {**metrics, **OTHERS}
    of_all = set().union(*known.values()) | FROM_THE_SCRAPE
    # A metric with its braces.
    for name, matchers in re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}", expression):
        for label, operator, value in re.findall(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            if name in known and label not in known[name] | FROM_THE_SCRAPE:
                yield f"`{name}` has no label `{label}`"
            if label in words:
                values = value.split("|") if "~" in operator else [value]
                yield from (f"`{label}` is never `{one}`" for one in values if one not in words[label])
    bare = re.sub(r"\{[^}]*\}", "", re.sub(r'"[^"]*"', '""', expression))
    for listed in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", bare):
        for label in filter(None, (label.strip() for label in listed.split(","))):
            if label not in of_all:
                yield f"nothing has a label `{label}`"
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\S+", "", bare)
    used = False
    for match in NAME.finditer(bare):
        name = match.group(0)
        is_function = bare[match.end() :].lstrip().startswith("(")
        starts_in_number = match.start() > 0 and bare[match.start() - 1].isdigit()
        if is_function or name in WORDS or starts_in_number:
            continue
        used = True
        if name not in known:
            yield f"there is no metric `{name}`"
    if not used:
        yield "no metric is asked for"
