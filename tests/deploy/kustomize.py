"""The small part of kustomize that deploy/kubernetes uses, so that checks need no cluster's tools and no network.

Whatever it does not know is refused. Where `kubectl` is at hand, check.py compares this with what kubectl makes.
"""

import copy
import pathlib

import yaml

KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "labels", "images", "configMapGenerator", "patches"}
CLUSTER_WIDE = {"Namespace"}


class Refused(Exception):
    """A file that cannot be taken as it is."""


class OneMeaning(yaml.SafeLoader):
    """YAML whose mappings hold each key once."""


def _mapping(loader, node):
    loader.flatten_mapping(node)
    found = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found and key_node.start_mark.line >= node.start_mark.line:
            raise Refused(f"{node.start_mark.name}:{key_node.start_mark.line + 1}: `{key}` stands there twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


OneMeaning.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def documents(path):
    """The documents of a YAML file."""
    try:
        with open(path, encoding="utf-8") as file:
            return [found for found in yaml.load_all(file, OneMeaning) if found is not None]
    except yaml.YAMLError as error:
        raise Refused(f"{path}: {error}") from error


def render(folder):
    """The objects that a folder with a kustomization stands for."""
    return _render(pathlib.Path(folder), [])


def _render(folder, objects):
    if not (folder / "kustomization.yaml").is_file():
        raise Refused(f"{folder} has no kustomization.yaml")
    (told,) = documents(folder / "kustomization.yaml")
    if unknown := set(told) - KNOWN:
        raise Refused(f"{folder}/kustomization.yaml: unknown {', '.join(sorted(unknown))}")
    named = {"kustomization.yaml"}
    for resource in told.get("resources", []):
        path = folder / resource
        if path.is_dir():
            objects = objects + _render(path, [])
        elif path.is_file():
            named.add(resource)
            objects = objects + documents(path)
        else:
            raise Refused(f"{folder}/kustomization.yaml: there is no {resource}")
    for component in told.get("components", []):
        objects = _render(folder / component, objects)
    for generator in told.get("configMapGenerator", []):
        named.update(generator["files"])
        objects = _with_config_map(objects, folder, generator)
    for patch in told.get("patches", []):
        named.update({patch["path"]} if "path" in patch else set())
        _patch(objects, folder, patch)
    _settings(objects, told)
    if strays := {path.name for path in folder.iterdir() if path.is_file()} - named:
        raise Refused(f"{folder}: {', '.join(sorted(strays))} is named by no kustomization")
    return objects


def _with_config_map(objects, folder, generator):
    data = {}
    for name in generator["files"]:
        if not (folder / name).is_file():
            raise Refused(f"{folder}/kustomization.yaml: there is no {name}")
        data[name] = (folder / name).read_text(encoding="utf-8")
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
    same = [one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == generator["name"]]
    if bool(same) != (generator.get("behavior") == "replace"):
        raise Refused(f"{folder}: the ConfigMap {generator['name']} is made twice, or replaces none")
    for one in same:
        made["metadata"] = one["metadata"]
    return [one for one in objects if one not in same] + [made]


def _patch(objects, folder, patch):
    text = patch.get("patch") or (folder / patch["path"]).read_text(encoding="utf-8")
    change = yaml.load(text, OneMeaning)
    if isinstance(change, list):
        target = patch["target"]
        kind, name = target["kind"], target["name"]
    else:
        kind, name = change["kind"], change["metadata"]["name"]
    targets = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    if len(targets) != 1:
        raise Refused(f"{folder}: a patch for {kind} {name}, of which there are {len(targets)}")
    if isinstance(change, list):
        for step in change:
            _step(targets[0], step, folder)
    else:
        _merge(targets[0], change)


def _step(target, step, folder):
    *way, last = step["path"].strip("/").split("/")
    at = lambda place: int(place) if place.isdigit() else place
    try:
        for place in way:
            target = target[at(place)]
        last = at(last)
        if step["op"] == "add" and isinstance(target, dict):
            target[last] = step["value"]
            return
        old = target[last]
        if step["op"] == "replace":
            target[last] = step["value"]
        elif step["op"] == "remove":
            del target[last]
        elif step["op"] != "test":
            raise Refused(f"{folder}: {step['op']} of {step['path']} is not known here")
        elif old != step["value"]:
            raise Refused(f"{folder}: {step['path']} is {old!r} and not {step['value']!r}")
    except (KeyError, IndexError, TypeError) as error:
        raise Refused(f"{folder}: there is no {step['path']}") from error


def _merge(target, change):
    """Strategic merge: lists of what has a name are merged by it."""
    for key, value in change.items():
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value)
        elif isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
            # What is new comes first, as kustomize has it.
            names = {one["name"]: one for one in old or []}
            new = [copy.deepcopy(one) for one in value if one["name"] not in names]
            for one in value:
                if one["name"] in names:
                    _merge(names[one["name"]], one)
            target[key] = new + (old or [])
        else:
            target[key] = copy.deepcopy(value)


def _settings(objects, told):
    for one in objects:
        if "namespace" in told and one["kind"] not in CLUSTER_WIDE:
            one["metadata"]["namespace"] = told["namespace"]
        for label in told.get("labels", []):
            if set(label) != {"pairs"}:
                raise Refused("labels are written into selectors by hand: only `pairs` is known here")
            one["metadata"].setdefault("labels", {}).update(label["pairs"])
    for image in told.get("images", []):
        for one in objects:
            for container in pod(one).get("containers", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"


def pod(one):
    """The pod's specification of an object that makes pods, or nothing."""
    return one.get("spec", {}).get("template", {}).get("spec", {}) if one["kind"] == "StatefulSet" else {}
