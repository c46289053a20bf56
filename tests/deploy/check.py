#!/usr/bin/env python3
"""Checks everything in deploy/ that can be checked without a cluster, a container runtime and a network.

    check.py [ROOT]

Prints what is wrong, a line each, and ends with 1 if anything is.
"""

import pathlib
import sys

import kustomize
from check_compose import check_compose, check_schemas
from check_image import check_configuration, check_image
from check_kubernetes import check_kubernetes, check_kustomize, check_maintenance
from check_monitoring import check_alerts, check_dashboard, check_promql
from tree import Tree

CHECKS = [
    check_image,
    check_configuration,
    check_schemas,
    check_kubernetes,
    check_kustomize,
    check_maintenance,
    check_compose,
    check_alerts,
    check_dashboard,
    check_promql,
]


def faults(root, checks=None):
    """All that is wrong, and how many checks found nothing."""
    found, good = [], 0
    try:
        tree = Tree(root)
    except kustomize.Refused as error:
        return [str(error)], 0
    for check in checks or CHECKS:
        try:
            wrong = list(check(tree))
        except kustomize.Refused as error:
            wrong = [str(error)]
        good += not wrong
        found += [one for one in wrong if one not in found]
    return found, good


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    found, good = faults(root)
    for one in found:
        print(one, file=sys.stderr)
    print(f"deploy: {good} of {len(CHECKS)} checks found nothing wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
