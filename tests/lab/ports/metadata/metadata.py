#!/usr/bin/env python3
"""Tags and labels as docker/metadata-action writes them, for the kinds of tag that the ports use: `ref`, `raw`, `semver`
and `pep440`."""

import datetime
import json
import os
import re
import tempfile

ENV = os.environ
# What is preferred for the version, the highest first.
PRIORITY = {"semver": 900, "pep440": 900, "ref": 600, "raw": 200}


def rows(name):
    """The lines of a list, each as its fields. A field without a name has the name None."""
    lines = (line.strip() for line in ENV[name].splitlines())
    fields = lambda line: dict(field.split("=", 1) if "=" in field else (None, field) for field in line.split(","))
    return [fields(line) for line in lines if line and not line.startswith("#")]


def version_of(row):
    """The parts of the version that the tag is made from, or nothing."""
    git_tag = ENV["GITHUB_REF"].removeprefix("refs/tags/") if ENV["GITHUB_REF"].startswith("refs/tags/") else ""
    found = re.fullmatch(r"v?((\d+)\.(\d+)\.\d+\S*)", row.get("value") or git_tag)
    return found and dict(zip(("version", "major", "minor"), found.groups()))


def tag_of(row):
    """The tag that a row of the list asks for on this event, or nothing."""
    kind = row["type"]
    if row.get("enable", "true") != "true":
        return None
    if kind == "raw":
        return row["value"]
    if kind in ("semver", "pep440"):
        parts = version_of(row)
        pattern = row["pattern"].replace(" ", "")
        return parts and re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], pattern)
    event, ref = row["event"], ENV["GITHUB_REF"]
    if event == "branch" and ref.startswith("refs/heads/"):
        return ref.removeprefix("refs/heads/")
    if event == "pr" and ENV["GITHUB_EVENT_NAME"] == "pull_request":
        return "pr-" + ref.split("/")[2]
    return None


def tags():
    """All tags, the one that names the version first."""
    found = []
    for row in sorted(rows("TAGS"), key=lambda row: -PRIORITY[row["type"]]):
        tag = tag_of(row)
        if tag:
            tag = re.sub(r"[^a-zA-Z0-9._-]+", "-", tag + row.get("suffix", ""))
            found.append(tag) if tag not in found else None
    is_version = any(row["type"] != "raw" and row["type"] != "ref" and version_of(row) for row in rows("TAGS"))
    if is_version and "latest=false" not in ENV["FLAVOR"]:
        found.append("latest")
    return found


def bake_file(suffix, target):
    with tempfile.NamedTemporaryFile("w", dir=ENV["TEMPORARY"], suffix=f"-bake-{suffix}.json", delete=False) as file:
        json.dump({"target": {ENV["BAKE_TARGET"]: target}}, file)
    return file.name


def main():
    names = [(row.get("name") or row[None]).lower() for row in rows("IMAGES") if row.get("enable", "true") == "true"]
    of_image = tags()
    version = of_image[0] if of_image else ""
    references = [f"{name}:{tag}" for name in names for tag in of_image]
    labels = {
        "org.opencontainers.image.created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
        "org.opencontainers.image.revision": ENV["GITHUB_SHA"],
        "org.opencontainers.image.title": ENV["GITHUB_REPOSITORY"].split("/")[1],
        "org.opencontainers.image.version": version,
    }
    arguments = {"DOCKER_META_IMAGES": ",".join(names), "DOCKER_META_VERSION": version}
    outputs = {
        "version": version,
        "tags": "\n".join(references),
        "labels": "\n".join(f"{name}={value}" for name, value in labels.items()),
        "bake-file-tags": bake_file("tags", {"tags": references, "args": arguments}),
        "bake-file-labels": bake_file("labels", {"labels": labels}),
    }
    with open(ENV["GITHUB_OUTPUT"], "a", encoding="utf-8") as file:
        for name, value in outputs.items():
            file.write(f"{name}<<END-OF-VALUE\n{value}\nEND-OF-VALUE\n")


main()
