"""`python -m tests.manifests`: the manifests of docker/kubernetes against the schemas of Kubernetes; where kubectl is
installed, also what kustomize makes of each overlay. Part of `make check`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "docker/kubernetes"
VERSION = "1.34"
"""Of the schemas; the manifests have nothing that was new since 1.29."""


def of_files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each manifest with its place, save what only kustomize reads."""
    for file in sorted(FOLDER.rglob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if not one["apiVersion"].startswith("kustomize"):
                yield str(file.relative_to(FOLDER)), one


def of_overlays() -> Iterator[tuple[str, dict[str, Any]]]:
    """What kustomize makes of each overlay; nothing without kubectl. CalledProcessError if it cannot."""
    kubectl = shutil.which("kubectl")
    for overlay in sorted((FOLDER / "overlays").iterdir()) if kubectl else ():
        done = subprocess.run([str(kubectl), "kustomize", str(overlay)], check=True, capture_output=True, timeout=60)
        for one in yaml.safe_load_all(done.stdout):
            yield f"overlays/{overlay.name}", one


def main() -> int:
    """1 if something is wrong, with a line for each."""
    wrong, seen = [], set()
    for place, manifest in [*of_files(), *of_overlays()]:
        manifest["metadata"].pop("namespace", None)  # kustomize gives it to each; a document is looked at once
        text = json.dumps(manifest, sort_keys=True)
        if text in seen:
            continue
        seen.add(text)
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            wrong.append(f"{place}: {manifest['kind']} {manifest['metadata']['name']}: {path}: {error.message[:300]}")
    sys.stdout.write("".join(f"{line}\n" for line in wrong) or f"{len(seen)} manifests are right\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
