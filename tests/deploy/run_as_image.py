#!/usr/bin/env python3
"""Runs the binary as each deployment in deploy/ does: user, read-only root, volumes, configuration, probes, stop.

    FERRY_BIN=target/debug/ferry run_as_image.py

Only these differ from the deployment: the ports, and the issuer, whose key set is a file of `ferry token`.
Needs bubblewrap, openssl, and user namespaces; without them it fails.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import asked
import kustomize
from sandbox import IS_ROOT, USER, Container, Failed, Image
from tree import Tree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOON = 60
ISSUER = {"FERRY_ISSUER": "https://issuer.ferry.test", "FERRY_AUDIENCE": "ferry"}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def expect(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


def until(what, holds, service):
    deadline = time.monotonic() + SOON
    while not holds():
        expect(service.is_up(), f"it ended before {what}:\n{service.output()}")
        expect(time.monotonic() < deadline, f"no {what} within {SOON} s:\n{service.output()}")
        time.sleep(0.1)


class Deployment:
    """What a deployment says of the container, with folders in the place of its volumes."""

    def __init__(self, name, folder, tree):
        self.name, self.folder, self.tree = name, folder, tree
        self.environment = dict(tree.image["env"])
        self.mounts, self.readable = {}, {}
        self.grpc, self.metrics = free_port(), free_port()
        folder.mkdir()
        folder.chmod(0o755)

    def volume(self, inside, mode, owner=USER):
        """An empty volume, owned as the cluster or Docker leaves it."""
        outside = self.folder / inside.strip("/").replace("/", "-")
        outside.mkdir()
        if IS_ROOT:
            os.chown(outside, owner, USER)
            if owner == 0:
                # What ext4 has at its root, for root alone.
                (outside / "lost+found").mkdir(0o700)
        outside.chmod(mode if IS_ROOT else 0o700)
        self.mounts[inside] = outside

    def file(self, inside, text):
        outside = self.folder / inside.strip("/").replace("/", "-")
        outside.write_text(text, encoding="utf-8")
        outside.chmod(0o644)
        self.readable[inside] = outside

    def container(self):
        ports = {"FERRY_LISTEN": f"0.0.0.0:{self.grpc}", "FERRY_METRICS_ADDR": f"0.0.0.0:{self.metrics}"}
        # A collector that is not there is no reason not to start; here nothing is to be looked for in the network.
        self.environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        return Container(self.image, {**self.environment, **ISSUER, **ports}, self.mounts, self.readable)


def certificate(folder):
    folder.mkdir()
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    words += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(words, check=True, capture_output=True)
    for file in folder.iterdir():
        # As a mounted Secret with an fsGroup.
        if IS_ROOT:
            os.chown(file, 0, USER)
            file.chmod(0o440)
    folder.chmod(0o755)


def of_cluster(overlay, objects, folder, tree, image):
    """A StatefulSet's pod."""
    found = Deployment(overlay, folder, tree)
    found.image = image
    by_kind = {one["kind"]: one for one in objects}
    spec = by_kind["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    found.args = container["args"]
    found.probes = {"live": container["livenessProbe"], "ready": container["readinessProbe"]}
    found.grace = spec["terminationGracePeriodSeconds"]
    claims = {claim["metadata"]["name"] for claim in by_kind["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    sources = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        inside, name = mount["mountPath"], mount["name"]
        source = sources.get(name, {})
        if name in claims:
            # Of root and of the pod's group, as the kubelet leaves it.
            found.volume(inside, 0o2770, owner=0)
        elif "emptyDir" in source:
            found.mounts[inside] = None
        elif "configMap" in source:
            found.file(inside, by_kind["ConfigMap"]["data"][mount["subPath"]])
        elif "secret" in source:
            certificate(folder / "tls")
            found.readable[inside] = folder / "tls"
        else:
            found.readable[inside] = ROOT / "deploy/example/segments"
    for entry in container["env"]:
        if "value" in entry:
            found.environment[entry["name"]] = entry["value"]
    # The Secret ferry-keys, made as the runbook says.
    maker = Container(image, {}, {"/keys": folder / "made"}, {})
    (folder / "made").mkdir()
    if IS_ROOT:
        os.chown(folder / "made", USER, USER)
    expect(maker.run(["keys", "create", "--keys-dir", "/keys"])[0] == 0, "`ferry keys create` fails")
    found.environment["FERRY_KEYS"] = (folder / "made/keys.toml").read_text(encoding="utf-8")
    return found


def of_compose(folder, tree, image):
    """compose.yaml's service."""
    found = Deployment("compose", folder, tree)
    found.image = image
    (told,) = kustomize.documents(ROOT / "deploy/compose/compose.yaml")
    service = told["services"]["ferry"]
    found.args = service["command"]
    found.environment.update(service["environment"])
    found.probes = None
    found.grace = int(service["stop_grace_period"].rstrip("s"))
    for volume in service["volumes"]:
        source, inside = volume.removesuffix(":ro").rsplit(":", 1)
        if not volume.endswith(":ro"):
            # As the folder in the image, which Docker copies.
            found.volume(inside, 0o700)
        elif source.endswith("ferry.toml"):
            found.file(inside, (ROOT / "deploy/compose" / source).read_text(encoding="utf-8"))
        else:
            found.readable[inside] = ROOT / "deploy/example/segments"
    for entry in service["tmpfs"]:
        found.mounts[entry.split(":")[0]] = None
    code, told = found.container().run(["keys", "create"])
    expect(code == 0, f"`ferry keys create` fails:\n{told}")
    return found


def is_alive(found, is_tls):
    """What the deployment's probes say."""
    if found.probes is None:
        return asked.get(found.metrics, "/metrics", False) == 200 and asked.is_serving(found.grpc, is_tls)
    live, ready = found.probes["live"]["httpGet"], found.probes["ready"]
    if asked.get(found.metrics, live["path"], live.get("scheme") == "HTTPS") != 200:
        return False
    if "grpc" in ready:
        return asked.is_serving(found.grpc, is_tls=False)
    return asked.get(found.grpc, ready["httpGet"]["path"], ready["httpGet"]["scheme"] == "HTTPS") == 200


def stop(found, service):
    """SIGTERM, as a container runtime does; the seconds that it took."""
    begun = time.monotonic()
    service.terminate()
    code = service.ended(found.grace)
    expect(code == 0, f"{found.name}: it ended with {code} on SIGTERM:\n{service.output()}")
    return time.monotonic() - begun


def try_out(found):
    """One deployment, from its first start to a restore."""
    container = found.container()
    inside = found.tree.image["env"]
    issuer = f"{inside['FERRY_KEYS_DIR']}/issuer"
    code, told = container.run(["token", "--issuer-dir", issuer, "--operator"])
    expect(code == 0, f"`ferry token` fails:\n{told}")
    token = next(word for line in told.splitlines() for word in line.split() if word.startswith("eyJ"))
    container.environment["FERRY_JWKS"] = f"{issuer}/jwks.json"
    code, told = container.run(["config", "check", inside["FERRY_CONFIG"]])
    expect(code == 0, f"`ferry config check` fails:\n{told}")
    code, told = container.run(["token", "--issuer-dir", "/etc/ferry/issuer", "--operator"])
    expect(code != 0 and "ead-only file system" in told, f"the root can be written:\n{told}")
    is_tls = "tls-cert" in told_by_file(found)
    service = container.start(found.args)
    try:
        until("answer to the probes", lambda: is_alive(found, is_tls), service)
        until("health", lambda: asked.is_serving(found.grpc, is_tls), service)
        other = {name: f"127.0.0.1:{free_port()}" for name in ("FERRY_LISTEN", "FERRY_METRICS_ADDR")}
        code, told = container.run(found.args, more=other)
        expect(code == 1 and "in use" in told, f"a second process is not refused:\n{told}")
        expect(asked.create_tenant(found.grpc, is_tls, token, "acme") == "0", f"no tenant:\n{service.output()}")
    except BaseException:
        service.kill()
        raise
    seconds = [stop(found, service)]
    restore(found, container, is_tls, token, seconds)
    needs_its_volumes(found, container)
    return seconds


def told_by_file(found):
    (path,) = [outside for inside, outside in found.readable.items() if inside.endswith("ferry.toml")]
    return "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


def restore(found, container, is_tls, token, seconds):
    """A backup is put back; Ferry refuses until that is acknowledged, by the command of maintenance.yaml."""
    data = found.mounts[found.tree.image["env"]["FERRY_DATA_DIR"]]
    backup = found.folder / "backup"
    copy = ["cp", "-a"]
    subprocess.run([*copy, f"{data}/.", backup], check=True)
    service = container.start(found.args)
    try:
        until("health", lambda: asked.is_serving(found.grpc, is_tls), service)
        expect(asked.create_tenant(found.grpc, is_tls, token, "later") == "0", f"no tenant:\n{service.output()}")
    except BaseException:
        service.kill()
        raise
    seconds.append(stop(found, service))
    for entry in data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    subprocess.run([*copy, f"{backup}/.", data], check=True)
    code, told = container.run(found.args)
    expect(code == 1 and "acknowledge-restore" in told, f"a database that was put back is not refused:\n{told}")
    (maintenance,) = kustomize.documents(ROOT / "deploy/kubernetes/maintenance.yaml")
    code, told = container.run(maintenance["spec"]["containers"][0]["args"])
    expect(code == 0 and "a new log begins" in told, f"the restore is not acknowledged:\n{told}")
    service = container.start(found.args)
    try:
        until("health", lambda: asked.is_serving(found.grpc, is_tls), service)
    except BaseException:
        service.kill()
        raise
    seconds.append(stop(found, service))


def needs_its_volumes(found, container):
    """Without one of its volumes Ferry says so and ends, instead of writing somewhere else."""
    for path in [path for path, outside in found.mounts.items() if outside is not None]:
        without = {inside: outside for inside, outside in found.mounts.items() if inside != path}
        code, told = container.run(found.args, mounts=without, limit=30)
        expect(code == 1, f"without {path} it ends with {code}:\n{told}")


def demo(image, folder):
    """A whole export, with nothing to write to but one volume and /tmp."""
    (folder / "demo").mkdir()
    if IS_ROOT:
        os.chown(folder / "demo", USER, USER)
    container = Container(image, {}, {"/volume": folder / "demo", "/tmp": None}, {})
    code, told = container.run(["demo", "--once", "--dir", "/volume/demo", "--listen", f"127.0.0.1:{free_port()}"])
    expect(code == 0, f"the demo fails:\n{told}")


def main():
    binary = pathlib.Path(os.environ.get("FERRY_BIN", ROOT / "target/debug/ferry"))
    for word, package in (("bwrap", "bubblewrap"), ("openssl", "openssl"), ("setpriv", "util-linux")):
        if shutil.which(word) is None:
            print(f"{word} is missing; install it with: sudo apt-get install {package}", file=sys.stderr)
            return 1
    if not binary.is_file():
        print(f"there is no {binary}; build it, or name it in FERRY_BIN", file=sys.stderr)
        return 1
    tree = Tree(ROOT)
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="ferry-image-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        image = Image(binary, folder)
        tries = {
            overlay: lambda overlay=overlay, objects=objects: try_out(
                of_cluster(overlay, objects, folder / overlay, tree, image)
            )
            for overlay, objects in tree.rendered()
        }
        tries["compose"] = lambda: try_out(of_compose(folder / "compose", tree, image))
        tries["demo"] = lambda: demo(image, folder)
        for what, attempt in tries.items():
            try:
                seconds = attempt()
                took = f", stopped in {max(seconds):.1f} s at most" if seconds else ""
                print(f"{what} runs as user {USER} on a read-only root{took}")
                passed += 1
            except Failed as error:
                print(f"{what}: {error}", file=sys.stderr)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
