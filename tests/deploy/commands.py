#!/usr/bin/env python3
"""Every `ferry` command that the documents and manifests of deploy/ tell of is one of the binary, with its flags."""

import os
import pathlib
import re
import subprocess
import sys

from kustomize import documents
from tree import MAINTENANCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROSE = ["deploy/README.md", "deploy/RUNBOOK.md", "deploy/image/Dockerfile", "deploy/kubernetes/maintenance.yaml"]
# Of all commands, or told of as what is not there.
KNOWN = {"ferry …", "ferry worker"}


def told():
    """The commands: of lines of code, and in backquotes."""
    for path in PROSE:
        text = (ROOT / path).read_text(encoding="utf-8")
        fenced = False
        for line in text.splitlines():
            fenced ^= line.startswith("```")
            code = [line] if fenced else re.findall(r"`([^`]+)`", line)
            for one in code:
                one = one.split("#")[0].split(" --dry-run")[0]
                # `docker compose exec ferry ferry keys list`, `kubectl exec ferry-0 -- ferry keys list`, `ferry keys list`
                command = re.search(r"(?:^|exec ferry |-- |run --rm )(ferry [a-z-][^|;&]*)$", one.strip())
                if command and command.group(1).strip() not in KNOWN:
                    yield path, command.group(1).split()[1:]
    for container in documents(ROOT / MAINTENANCE)[0]["spec"]["containers"]:
        yield MAINTENANCE, container["args"]


def faults(binary):
    for path, words in told():
        place = [word for word in words if not word.startswith("-")]
        command = []
        for word in place:
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*", word) or len(command) == 2:
                break
            command.append(word)
        asked = subprocess.run([binary, "help", *command], capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            yield f"{path}: there is no `ferry {' '.join(command)}`"
            continue
        for flag in (word.split("=")[0] for word in words if word.startswith("--")):
            if not re.search(rf"(?m)^\s+(-\w, )?{re.escape(flag)}\b", asked.stdout):
                yield f"{path}: `ferry {' '.join(command)}` has no {flag}"


def main():
    binary = os.environ.get("FERRY_BIN", str(ROOT / "target/debug/ferry"))
    found = list(faults(binary))
    for one in found:
        print(one, file=sys.stderr)
    count = len(list(told()))
    print(f"commands of ferry that are told of: {count}, of which are wrong: {len(found)}")
    return 1 if found or count < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
