"""Checks of the image and of the configuration files."""

import re
import tomllib

from tree import USER, unknown_variables


def check_image(tree):
    """The Dockerfile agrees with Cargo.toml and with what Kubernetes asks of an image."""
    rust = [base for base in tree.image["bases"] if base.startswith("rust:")]
    if [base.split(":")[1].split("-")[0] for base in rust] != [tree.cargo["rust-version"]]:
        yield f"Dockerfile: builds with {rust}, and Cargo.toml says Rust {tree.cargo['rust-version']}"
    if tree.image.get("user") != f"{USER}:{USER}":
        yield f"Dockerfile: USER is {tree.image.get('user')}, not {USER}:{USER}"
    if tree.image.get("entrypoint") != ["/usr/local/bin/ferry"] or tree.image.get("cmd") != ["serve"]:
        yield "Dockerfile: it does not start `/usr/local/bin/ferry serve`"
    if tree.image.get("stopsignal") != "SIGTERM":
        yield "Dockerfile: STOPSIGNAL is not SIGTERM, which is what Ferry ends by"
    if tree.image["args"].get("VERSION") != tree.cargo["version"]:
        yield f"Dockerfile: VERSION is {tree.image['args'].get('VERSION')}, and Cargo.toml says {tree.cargo['version']}"
    yield from unknown_variables(tree, "Dockerfile", tree.image["env"])


def check_configuration(tree):
    """Every key of every ferry.toml is one of `ferry config reference`."""
    for path in sorted((tree.root / "deploy").rglob("ferry.toml")):
        where = path.relative_to(tree.root)
        # What is commented out is offered, so it must be right too.
        offered = re.sub(r"(?m)^#(?=\[\w+\]$|[a-z-]+ = )", "", path.read_text(encoding="utf-8"))
        for section, keys in sections(offered):
            for key in keys:
                if key not in tree.keys.get(section, set()):
                    yield f"{where}: `{key}` in [{section}] is no key of `ferry config reference`"
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            yield f"{where}: {error}"


def sections(text):
    section, keys = None, []
    for line in text.splitlines():
        if head := re.match(r"\[(.*)\]$", line):
            yield section, keys
            section, keys = head.group(1), []
        elif key := re.match(r"([\w-]+)\s*=", line):
            keys.append(key.group(1))
    yield section, keys
