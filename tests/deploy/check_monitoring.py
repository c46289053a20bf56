"""Checks of the alerts, of their runbook, and of the dashboard."""

import json
import re
import shutil
import subprocess
import tempfile

import promql
from kustomize import documents


def check_alerts(tree):
    """Every alert asks for metrics that are there, is tested, and has a section in the runbook."""
    runbook = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings(tree, "deploy/RUNBOOK.md")}
    tests = tree.text("tests/deploy/alerts_test.yml")
    (told,) = documents(tree.root / "deploy/monitoring/alerts.yml")
    alerts = [rule for group in told["groups"] for rule in group["rules"]]
    for rule in alerts:
        name = rule["alert"]
        yield from (f"alerts.yml: {name}: {fault}" for fault in promql.faults(rule["expr"], tree.metrics, tree.words))
        if rule["labels"].get("severity") not in ("page", "ticket"):
            yield f"alerts.yml: {name}: severity is neither page nor ticket"
        path, _, anchor = rule["annotations"].get("runbook", "").partition("#")
        if path != "deploy/RUNBOOK.md" or anchor != name.lower() or anchor not in runbook:
            yield f"alerts.yml: {name}: the runbook has no section of it"
        if f'alertname="{name}",alertstate="firing"' not in tests:
            yield f"alerts_test.yml: {name} is not tested"
    for title in headings(tree, "deploy/RUNBOOK.md"):
        if re.fullmatch(r"Ferry[A-Z]\w+", title) and title not in {rule["alert"] for rule in alerts}:
            yield f"RUNBOOK.md: there is no alert {title}"


def headings(tree, path):
    return re.findall(r"(?m)^#+ (.+)$", tree.text(path))


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def check_dashboard(tree):
    """Every panel asks for metrics that are there, and has a place of its own."""
    dashboard = json.loads(tree.text("deploy/monitoring/dashboard.json"))
    for title, expression in expressions(dashboard):
        for fault in promql.faults(expression, tree.metrics, tree.words):
            yield f"dashboard.json: {title}: {fault}"
    taken = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"dashboard.json: {panel['title']} is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"dashboard.json: {panel['title']} lies on {other}"
                    break
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "dashboard.json: two panels have one id"
    asked = " ".join(expression for _, expression in expressions(dashboard))
    for name in sorted(tree.metrics):
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        if stem not in asked:
            yield f"dashboard.json: nothing shows {stem}"


def check_promql(tree):
    """Prometheus itself takes the rules and the dashboard's expressions, and each alert fires when it should."""
    if shutil.which("promtool") is None:
        yield "promtool is missing; install it with: sudo apt-get install prometheus"
        return
    rules = tree.root / "deploy/monitoring/alerts.yml"
    yield from told_by(["promtool", "check", "rules", str(rules)])
    yield from told_by(["promtool", "test", "rules", "alerts_test.yml"], tree.root / "tests/deploy")
    yield from told_by(["promtool", "check", "config", "--syntax-only", str(tree.root / "deploy/compose/prometheus.yml")])
    dashboard = json.loads(tree.text("deploy/monitoring/dashboard.json"))
    asked = []
    for number, (_, expression) in enumerate(expressions(dashboard)):
        asked.append({"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": asked}]}, file)
        file.flush()
        yield from told_by(["promtool", "check", "rules", file.name])


def told_by(words, folder=None):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"{' '.join(words[:3])}: {(done.stderr + done.stdout).strip()[:1500]}"
