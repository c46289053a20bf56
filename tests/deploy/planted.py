#!/usr/bin/env python3
"""Shows that check.py finds mistakes: each is planted into a copy, alone, and must be told of."""

import pathlib
import shutil
import sys
import tempfile

from check import CHECKS, faults
from check_monitoring import check_promql

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDED = ["deploy", "tests/deploy", "tests/golden", "proto/ferry/v1", "crates/ferry-telemetry/src", "crates/ferry-domain/src"]
BASE = "deploy/kubernetes/base"
STATEFUL = f"{BASE}/statefulset.yaml"
COMPOSE = "deploy/compose/compose.yaml"
ALERTS = "deploy/monitoring/alerts.yml"
DASHBOARD = "deploy/monitoring/dashboard.json"

# The file, what stands there, what is put in its place, and what must be told.
PLANTED = [
    (DASHBOARD, "max(ferry_runs_queue_age_seconds", "max(ferry_runs_queue_age_secs", "no metric `ferry_runs_queue_age_secs`"),
    (DASHBOARD, "by (ferry_run_state)", "by (ferry_state)", "nothing has a label `ferry_state`"),
    (DASHBOARD, "paused|awaiting_approval", "PAUSED|awaiting_approval", "`ferry_run_state` is never `PAUSED`"),
    (DASHBOARD, "sum(increase(ferry_runs_ended_total", "sum(increase((ferry_runs_ended_total", "promtool check rules"),
    (DASHBOARD, '"w": 8,', '"w": 9,', "lies on"),
    (ALERTS, "ferry_runs_queue_age_seconds > 900", "ferry_runs_queue_age > 900", "no metric `ferry_runs_queue_age`"),
    (ALERTS, "RunService/WatchRuns", "RunService/WatchAllRuns", "`rpc_method` is never `RunService/WatchAllRuns`"),
    (ALERTS, "> 0.05", "> 0.5", "promtool test rules"),
    (ALERTS, "alert: FerryQueueOld", "alert: FerryQueueAncient", "FerryQueueAncient: the runbook has no section of it"),
    ("deploy/RUNBOOK.md", "### FerryRunsHeld", "### FerryRunsWaiting", "FerryRunsHeld: the runbook has no section"),
    (STATEFUL, "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", "'readOnlyRootFileSystem' was unexpected"),
    (STATEFUL, "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds is not"),
    (STATEFUL, "mountPath: /var/lib/ferry/data", "mountPath: /var/lib/ferry/date", "/var/lib/ferry/data (FERRY_DATA_DIR)"),
    (STATEFUL, "mountPath: /tmp\n", "mountPath: /tmp\n              readOnly: true\n", "/tmp cannot be written"),
    (STATEFUL, "replicas: 1", "replicas: 2", "held by one process"),
    (STATEFUL, "replicas: 1", "replicas: one", "'one' is not of type"),
    (STATEFUL, "port: metrics", "port: metric", "livenessProbe asks port metric"),
    (STATEFUL, "drop: [ALL]", "drop: [NET_RAW]", "capabilities is not"),
    (STATEFUL, "name: ferry-keys", "name: ferry-secrets", "does not say where"),
    (f"{BASE}/networkpolicy.yaml", "k8s-app: kube-dns", "app.kubernetes.io/name: ferry", "the name servers are not"),
    (f"{BASE}/service.yaml", "targetPort: grpc", "targetPort: https", "the pod has no port https"),
    (f"{BASE}/poddisruptionbudget.yaml", "app.kubernetes.io/name: ferry", "app: ferry", "PodDisruptionBudget: it selects"),
    (f"{BASE}/ferry.toml", "checkpoint-interval", "checkpoint-intervall", "`checkpoint-intervall` in [audit]"),
    (f"{BASE}/ferry.toml", "/etc/ferry/tls/tls.key", "/etc/ferry/certs/tls.key", "/etc/ferry/certs/tls.key lies on no volume"),
    (f"{BASE}/kustomization.yaml", "  - service.yaml\n", "", "service.yaml is named by no kustomization"),
    (f"{BASE}/kustomization.yaml", "service.yaml", "services.yaml", "there is no services.yaml"),
    ("deploy/kubernetes/overlays/behind-proxy/ferry.toml", "plaintext-behind-proxy = true", "", "do not fit"),
    ("deploy/kubernetes/overlays/example/statefulset.yaml", "FERRY_JWKS", "FERRY_JWK", "`FERRY_JWK` is no variable"),
    ("deploy/kubernetes/maintenance.yaml", "keys-ferry-0", "keys-ferry-1", "the claims are"),
    (COMPOSE, "  read_only: true", "  read_olny: true", "'read_olny' was unexpected"),
    (COMPOSE, "      - data:/var/lib/ferry/data\n", "", "/var/lib/ferry/data (FERRY_DATA_DIR)"),
    (COMPOSE, "127.0.0.1:50051:50051", "50051:50051", "ferry: ports is not"),
    (COMPOSE, "OTEL_TRACES_SAMPLER: parent", "FERRY_TRACE_SAMPLER: parent", "`FERRY_TRACE_SAMPLER` is no variable"),
    (COMPOSE, "./collector.yaml", "./otel.yaml", "there is no ./otel.yaml"),
    ("deploy/compose/prometheus.yml", "ferry:9464", "ferry:9465", "nothing reads ferry:9464"),
    ("deploy/compose/prometheus.yml", "job_name: ferry", "job_name: ferries", "as the job ferry"),
    ("deploy/compose/collector.yaml", "exporters: [debug]", "exporters: [otlp]", "otlp is none of exporters"),
    ("deploy/image/Dockerfile", "rust:1.95", "rust:1.94", "Cargo.toml says Rust 1.95"),
    ("deploy/image/Dockerfile", "USER 65532:65532", "USER root", "USER is root"),
    ("deploy/image/Dockerfile", "FERRY_DATA_DIR=", "FERRY_DATADIR=", None),
]


def found(planted, folder):
    """Whether a planted mistake is told of, and what was told."""
    path, old, new, wanted = planted
    place = folder / path
    text = place.read_text(encoding="utf-8")
    if old not in text:
        return False, [f"{path} does not hold {old!r}; plant something else"]
    place.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        # Prometheus' own tool takes seconds; it is asked where nothing else can find the mistake.
        told, _ = faults(folder, [one for one in CHECKS if one is not check_promql or "promtool" in (wanted or "")])
    except KeyError as error:
        told = [f"there is no {error}"]
    place.write_text(text, encoding="utf-8")
    return bool(told) and (wanted is None or any(wanted in one for one in told)), told


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ferry-planted-") as name:
        folder = pathlib.Path(name)
        for path in NEEDED:
            shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Cargo.toml", folder)
        for planted in PLANTED:
            good, told = found(planted, folder)
            if not good:
                failed += 1
                print(f"{planted[0]}: {planted[1]!r} to {planted[2]!r} was not found; told was {told}", file=sys.stderr)
    print(f"planted mistakes that were found: {len(PLANTED) - failed} of {len(PLANTED)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
