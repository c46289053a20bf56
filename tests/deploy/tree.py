"""What the checks of deploy/ read."""

import json
import re
import tomllib

import kustomize
import promql

OVERLAYS = "deploy/kubernetes/overlays"
MAINTENANCE = "deploy/kubernetes/maintenance.yaml"
# The image's user.
USER = 65532
# What the binary reads besides the keys of the configuration.
OTHER_VARIABLES = {"FERRY_CONFIG", "FERRY_KEYS"}


class Tree:
    """What the checks read."""

    def __init__(self, root):
        self.root = root
        golden = self.text("tests/golden/configuration.txt")
        self.keys = config_keys(golden)
        self.variables = set(re.findall(r"; ((?:FERRY|OTEL)_[A-Z_]+)", golden)) | OTHER_VARIABLES
        self.metrics = promql.prometheus_names(self.text("tests/golden/telemetry.txt"))
        self.words = promql.words_of(root)
        self.image = image(self.text("deploy/image/Dockerfile"))
        self.cargo = tomllib.loads(self.text("Cargo.toml"))["workspace"]["package"]

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def rendered(self):
        for folder in sorted((self.root / OVERLAYS).iterdir()):
            yield folder.name, kustomize.render(folder)


def config_keys(golden):
    """The keys of each section of the configuration file."""
    found, section = {}, None
    for line in golden.splitlines():
        if head := re.match(r"\[(\w+)\]$", line):
            section = found.setdefault(head.group(1), set())
        elif key := re.match(r"#([a-z0-9-]+) = ", line):
            section.add(key.group(1))
    return found


def image(dockerfile):
    """What the last stage of a Dockerfile says, and the bases of all."""
    lines = re.sub(r"\\\n", " ", "\n".join(l for l in dockerfile.splitlines() if not l.lstrip().startswith("#")))
    told = {"env": {}, "bases": [], "labels": {}, "args": {}}
    for line in lines.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            told.update(env={}, labels={}, args={})
            told["bases"].append(rest.split()[0])
        elif word in ("ENV", "LABEL"):
            into = told["env" if word == "ENV" else "labels"]
            into.update((name, value.strip('"')) for name, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', rest))
        elif word == "ARG":
            name, _, value = rest.partition("=")
            told["args"][name] = value
        elif word in ("ENTRYPOINT", "CMD"):
            told[word.lower()] = json.loads(rest)
        elif word in ("USER", "STOPSIGNAL"):
            told[word.lower()] = rest
    return told


def unknown_variables(tree, where, names):
    for name in names:
        if name.startswith("FERRY_") and name not in tree.variables:
            yield f"{where}: `{name}` is no variable of `ferry config reference`"
