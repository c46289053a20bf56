"""Checks of the schemas of all manifests, and of compose.yaml."""

import json
import pathlib
import re
import tomllib

import jsonschema
from kustomize import documents
from tree import MAINTENANCE, unknown_variables

SCHEMAS = pathlib.Path(__file__).parent / "schemas"


def schema_of(kubernetes, one):
    if one.get("kind") == "PodMonitor":
        return json.loads((SCHEMAS / "podmonitor.json").read_text(encoding="utf-8"))
    group, _, version = one["apiVersion"].rpartition("/")
    group = (group or "core").split(".")[0]
    name = f"io.k8s.api.{group}.{version}.{one['kind']}"
    if name not in kubernetes["$defs"]:
        return None
    return {"$ref": f"#/$defs/{name}", "$defs": kubernetes["$defs"]}


def check_schemas(tree):
    """Manifests and the compose file are of their schemas."""
    kubernetes = json.loads((SCHEMAS / "kubernetes-1.34.json").read_text(encoding="utf-8"))
    for overlay, objects in tree.rendered():
        for one in objects:
            where = f"{overlay}: {one['kind']} {one['metadata']['name']}"
            schema = schema_of(kubernetes, one)
            if schema is None:
                yield f"{where}: there is no schema of {one['apiVersion']} {one['kind']}"
            else:
                yield from of_schema(where, schema, one)
    (maintenance,) = documents(tree.root / MAINTENANCE)
    yield from of_schema("maintenance.yaml", schema_of(kubernetes, maintenance), maintenance)
    compose = json.loads((SCHEMAS / "compose.json").read_text(encoding="utf-8"))
    (told,) = documents(tree.root / "deploy/compose/compose.yaml")
    yield from of_schema("compose.yaml", compose, told)


def of_schema(where, schema, one):
    for error in jsonschema.Draft202012Validator(schema).iter_errors(one):
        deepest = jsonschema.exceptions.best_match([error])
        place = ".".join(str(part) for part in deepest.absolute_path)
        yield f"{where}: {place}: {deepest.message[:200]}"


def check_compose(tree):
    """Every service is as closed as the cluster's, and what it mounts is there."""
    folder = tree.root / "deploy/compose"
    (told,) = documents(folder / "compose.yaml")
    for name, service in told["services"].items():
        closed = {
            "read_only": service.get("read_only") is True,
            "cap_drop": service.get("cap_drop") == ["ALL"],
            "security_opt": "no-new-privileges:true" in service.get("security_opt", []),
            "user": str(service.get("user", "0")).split(":")[0] not in ("0", "root"),
            "image": re.search(r":(?!latest)[\w.-]+\}?$", service["image"]) is not None,
            "ports": all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])),
        }
        yield from (f"compose.yaml: {name}: {what} is not as it must be" for what, holds in closed.items() if not holds)
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                if not (folder / source).exists():
                    yield f"compose.yaml: {name}: there is no {source}"
            elif source not in told["volumes"]:
                yield f"compose.yaml: {name}: there is no volume {source}"
    ferry = told["services"]["ferry"]
    mounts = {volume.split(":")[-2 if volume.endswith(":ro") else -1]: volume for volume in ferry["volumes"]}
    for name in ("FERRY_DATA_DIR", "FERRY_KEYS_DIR", "FERRY_CHECKPOINTS_DIR"):
        path = tree.image["env"][name]
        if path not in mounts or mounts[path].endswith(":ro") or mounts[path].startswith("."):
            yield f"compose.yaml: {path} ({name}) is no volume that can be written"
    if not any(entry.startswith("/tmp:") for entry in ferry.get("tmpfs", [])):
        yield "compose.yaml: /tmp cannot be written, and SQLite needs it for large sorts"
    if f":{tree.cargo['version']}" not in ferry["image"]:
        yield f"compose.yaml: the image is {ferry['image']}, and Cargo.toml says {tree.cargo['version']}"
    yield from unknown_variables(tree, "compose.yaml", ferry.get("environment", {}))
    yield from watching_faults(folder, told)


def watching_faults(folder, told):
    """Prometheus, the collector and Grafana find what they look for."""
    settings = tomllib.loads((folder / "ferry.toml").read_text(encoding="utf-8"))
    port = settings["telemetry"]["metrics-addr"].rsplit(":", 1)[1]
    jobs = {job["job_name"]: job["static_configs"] for job in documents(folder / "prometheus.yml")[0]["scrape_configs"]}
    if not any(f"ferry:{port}" in one["targets"] for one in jobs.get("ferry", [])):
        yield f"prometheus.yml: nothing reads ferry:{port} as the job ferry"
    for one in (one for job in jobs.values() for one in job):
        for target in one["targets"]:
            if target.split(":")[0] not in told["services"].keys() | {"localhost"}:
                yield f"prometheus.yml: there is no service {target}"
    (collector,) = documents(folder / "collector.yaml")
    for name, pipeline in collector["service"]["pipelines"].items():
        for kind, used in pipeline.items():
            for one in used:
                if one not in collector[kind]:
                    yield f"collector.yaml: {name}: {one} is none of {kind}"
    endpoint = collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    if settings["telemetry"]["otlp-endpoint"] != f"http://collector:{endpoint.rsplit(':', 1)[1]}":
        yield f"ferry.toml: otlp-endpoint is not where the collector listens, {endpoint}"
    (provided,) = documents(folder / "grafana/provisioning/dashboards/ferry.yaml")
    path = provided["providers"][0]["options"]["path"]
    if not any(f":{path}/ferry.json:ro" in volume for volume in told["services"]["grafana"]["volumes"]):
        yield f"grafana: the dashboard is not mounted below {path}"
