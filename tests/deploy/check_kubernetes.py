"""Checks of the manifests for Kubernetes."""

import re
import shutil
import subprocess
import tempfile
import tomllib

from kustomize import documents
from tree import MAINTENANCE, OVERLAYS, USER, unknown_variables


def check_kubernetes(tree):
    """What no schema says: names that must agree, and what the pod may do."""
    for overlay, objects in tree.rendered():
        by_kind = {}
        for one in objects:
            by_kind.setdefault(one["kind"], []).append(one)
        for found in by_kind["StatefulSet"]:
            for fault in pod_faults(tree, found, by_kind):
                yield f"{overlay}: {fault}"
        for fault in selector_faults(by_kind):
            yield f"{overlay}: {fault}"


def pod_faults(tree, found, by_kind):
    spec = found["spec"]["template"]["spec"]
    if found["spec"]["replicas"] != 1:
        yield "replicas: the embedded database is held by one process"
    outer = spec["securityContext"]
    (container,) = spec["containers"]
    inner = container["securityContext"]
    wanted = {
        "runAsNonRoot": outer.get("runAsNonRoot") is True and outer.get("runAsUser") == USER,
        "fsGroup": outer.get("fsGroup") == USER and outer.get("fsGroupChangePolicy") == "OnRootMismatch",
        "seccompProfile": outer.get("seccompProfile") == {"type": "RuntimeDefault"},
        "readOnlyRootFilesystem": inner.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation": inner.get("allowPrivilegeEscalation") is False,
        "capabilities": inner.get("capabilities") == {"drop": ["ALL"]},
        "automountServiceAccountToken": spec.get("automountServiceAccountToken") is False,
        "enableServiceLinks": spec.get("enableServiceLinks") is False,
        "terminationGracePeriodSeconds": spec.get("terminationGracePeriodSeconds", 0) >= 30,
        "resources": {"cpu", "memory"} <= container["resources"]["requests"].keys()
        and "memory" in container["resources"]["limits"],
        "image": re.search(r":(?!latest$)[\w.-]+$", container["image"]) is not None,
    }
    yield from (f"StatefulSet: {name} is not as it must be" for name, holds in wanted.items() if not holds)
    if not container["image"].endswith(f":{tree.cargo['version']}"):
        yield f"StatefulSet: the image is {container['image']}, and Cargo.toml says {tree.cargo['version']}"
    yield from mount_faults(tree, found, container)
    yield from reference_faults(tree, spec, container, by_kind)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("livenessProbe", "readinessProbe"):
        told = container[probe]
        port = told.get("httpGet", told.get("grpc", told.get("tcpSocket", {}))).get("port")
        if port not in ports and port not in ports.values():
            yield f"StatefulSet: {probe} asks port {port}, which is none of {ports}"
    if "grpc" in container["livenessProbe"]:
        yield "StatefulSet: livenessProbe asks for health; an issuer that cannot be read would restart Ferry for ever"
    (service,) = by_kind["Service"]
    for port in service["spec"]["ports"]:
        if port["targetPort"] not in ports:
            yield f"Service: the pod has no port {port['targetPort']}"
    if found["spec"]["serviceName"] != service["metadata"]["name"]:
        yield "StatefulSet: serviceName names no Service"


def mount_faults(tree, found, container):
    """What Ferry writes lies on volumes, and nothing else can be written."""
    spec = found["spec"]["template"]["spec"]
    claims = {claim["metadata"]["name"] for claim in found["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"] for volume in spec["volumes"]} | claims
    writable = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            yield f"StatefulSet: the mount {mount['mountPath']} is of a volume {mount['name']} that is not there"
    folders = {name: tree.image["env"][name] for name in ("FERRY_DATA_DIR", "FERRY_KEYS_DIR", "FERRY_CHECKPOINTS_DIR")}
    for name, path in folders.items():
        if writable.get(path) not in claims:
            yield f"StatefulSet: {path} ({name}) is no claimed volume that can be written"
    if len({writable.get(path) for path in folders.values()}) != len(folders):
        yield "StatefulSet: data, keys and checkpoints lie on one volume"
    if "/tmp" not in writable:
        yield "StatefulSet: /tmp cannot be written, and SQLite needs it for large sorts"
    if strays := writable.keys() - folders.values() - {"/tmp"}:
        yield f"StatefulSet: {', '.join(sorted(strays))} can be written and need not be"


def reference_faults(tree, spec, container, by_kind):
    maps = {one["metadata"]["name"]: one["data"] for one in by_kind.get("ConfigMap", [])}
    prose = tree.text("deploy/RUNBOOK.md")
    for volume in spec["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in maps:
            yield f"StatefulSet: there is no ConfigMap {volume['configMap']['name']}"
        for kind, name in (("secret", "secretName"), ("persistentVolumeClaim", "claimName")):
            if kind in volume and volume[kind][name] not in prose:
                yield f"StatefulSet: the runbook does not say where {volume[kind][name]} comes from"
    for entry in container.get("env", []):
        if "valueFrom" in entry and entry["valueFrom"]["secretKeyRef"]["name"] not in prose:
            yield f"StatefulSet: the runbook does not say where {entry['valueFrom']['secretKeyRef']} comes from"
    yield from unknown_variables(tree, "StatefulSet", [entry["name"] for entry in container.get("env", [])])
    for mount in container["volumeMounts"]:
        if mount["name"] == "config" and mount["subPath"] not in maps["ferry"]:
            yield f"StatefulSet: the ConfigMap has no {mount['subPath']}"
    settings = tomllib.loads(maps["ferry"]["ferry.toml"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    told = {"grpc": settings["server"]["listen"], "metrics": settings["telemetry"]["metrics-addr"]}
    for name, address in told.items():
        if address != f"0.0.0.0:{ports[name]}":
            yield f"ferry.toml: listens on {address}, and the pod's port {name} is {ports[name]}"
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    paths = [settings["segments"]["segments-dir"]]
    paths += [path for key, path in settings["server"].items() if key.startswith("tls-")]
    for path in paths:
        if not any(path == mount or path.startswith(mount + "/") for mount in mounted):
            yield f"ferry.toml: {path} lies on no volume"
    is_plain = settings["server"].get("plaintext-behind-proxy", False)
    if is_plain != ("grpc" in container["readinessProbe"]):
        yield "StatefulSet: the kubelet's gRPC probe speaks no TLS; readinessProbe and ferry.toml do not fit"


def selector_faults(by_kind):
    (found,) = by_kind["StatefulSet"]
    labels = found["spec"]["template"]["metadata"]["labels"]
    selectors = {"StatefulSet": found["spec"]["selector"]["matchLabels"]}
    selectors["Service"] = by_kind["Service"][0]["spec"]["selector"]
    selectors["PodDisruptionBudget"] = by_kind["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"]
    selectors["NetworkPolicy"] = by_kind["NetworkPolicy"][0]["spec"]["podSelector"]["matchLabels"]
    for one in by_kind.get("PodMonitor", []):
        selectors["PodMonitor"] = one["spec"]["selector"]["matchLabels"]
    for kind, selector in selectors.items():
        if not selector or not selector.items() <= labels.items():
            yield f"{kind}: it selects {selector}, and the pod is {labels}"
    ports = {port["name"] for port in found["spec"]["template"]["spec"]["containers"][0]["ports"]}
    for rule in by_kind["NetworkPolicy"][0]["spec"]["ingress"]:
        for port in rule["ports"]:
            if port["port"] not in ports:
                yield f"NetworkPolicy: the pod has no port {port['port']}"
    for rule in by_kind["NetworkPolicy"][0]["spec"]["egress"]:
        for peer in rule["to"]:
            if "podSelector" in peer and "k8s-app" not in peer["podSelector"]["matchLabels"]:
                yield f"NetworkPolicy: the name servers are not {peer['podSelector']}"


def check_maintenance(tree):
    """The pod for commands has what the service's pod has of rights, keys and volumes, and no more."""
    (pod,) = documents(tree.root / MAINTENANCE)
    (example,) = [objects for overlay, objects in tree.rendered() if overlay == "example"]
    (service,) = [one["spec"] for one in example if one["kind"] == "StatefulSet"]
    theirs, ours = service["template"]["spec"], pod["spec"]
    (container,), (like) = ours["containers"], theirs["containers"][0]
    for name in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        if ours.get(name) != theirs[name]:
            yield f"maintenance.yaml: {name} is not the service's"
    if container["securityContext"] != like["securityContext"] or container["image"] != like["image"]:
        yield "maintenance.yaml: the container's image or securityContext is not the service's"
    if container["env"] != [entry for entry in like["env"] if "valueFrom" in entry]:
        yield "maintenance.yaml: the keys are not the service's"
    writable = [mount for mount in like["volumeMounts"] if not mount.get("readOnly")]
    if container["volumeMounts"] != writable:
        yield "maintenance.yaml: the volumes are not those that the service writes"
    wanted = {claim["metadata"]["name"]: f"{claim['metadata']['name']}-ferry-0" for claim in service["volumeClaimTemplates"]}
    found = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in ours["volumes"] if "emptyDir" not in one}
    if found != wanted:
        yield f"maintenance.yaml: the claims are {found}, and the service's are {wanted}"


def check_kustomize(tree):
    """What kustomize.py makes is what kubectl makes, where there is a kubectl that knows components."""
    if shutil.which("kubectl") is None:
        return
    for overlay, objects in tree.rendered():
        folder = tree.root / OVERLAYS / overlay
        done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield f"{overlay}: kubectl kustomize: {done.stderr.strip()[:500]}"
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            # The hash at the end of a generated name.
            file.write(re.sub(r"\bferry-[a-z0-9]{10}\b", "ferry", done.stdout))
            file.flush()
            theirs = documents(file.name)
        name = lambda one: (one["kind"], one["metadata"]["name"])
        if sorted(objects, key=name) != sorted(theirs, key=name):
            yield f"{overlay}: kubectl makes something else of it than kustomize.py"
