"""`python -m tests.manifests`: the manifests of docker/kubernetes against the schemas of Kubernetes; where kubectl is
installed, also what kustomize makes of each overlay, and of the base with each component. Part of `make check`."""

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "docker/kubernetes"
VERSION = "1.34"
"""Of the schemas; the manifests have nothing that was new since 1.29."""
FOREIGN = ("keda.sh/",)
"""Of kinds that others bring into a cluster: Kubernetes has no schemas of them."""
NOT_BUILT = "kubectl is not installed: each file was looked at, overlays and components were not put together"


def of_files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each manifest with its place, save what only kustomize reads."""
    for file in sorted(FOLDER.rglob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if not one["apiVersion"].startswith("kustomize"):
                yield str(file.relative_to(FOLDER)), one


def components() -> list[str]:
    """The parts that an overlay may take."""
    files = sorted(FOLDER.glob("*/kustomization.yaml"))
    return [
        file.parent.name for file in files if yaml.safe_load(file.read_text(encoding="utf-8"))["kind"] == "Component"
    ]


@functools.cache
def built() -> dict[str, list[dict[str, Any]]]:
    """What kustomize makes of each overlay, and of the base with each component; nothing without kubectl.
    CalledProcessError if it cannot."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return {}
    with tempfile.TemporaryDirectory() as place:  # of a component alone, kustomize makes nothing
        folder = Path(shutil.copytree(FOLDER, Path(place, "kubernetes")))
        for name in components():
            alone = folder / "overlays" / f"base with {name}"
            alone.mkdir()
            told = {"resources": ["../../base"], "components": [f"../../{name}"]}
            (alone / "kustomization.yaml").write_text(json.dumps(told), encoding="utf-8")
        return {
            overlay.name: list(yaml.safe_load_all(_kustomized(kubectl, overlay)))
            for overlay in sorted((folder / "overlays").iterdir())
        }


def _kustomized(kubectl: str, overlay: Path) -> bytes:
    return subprocess.run([kubectl, "kustomize", str(overlay)], check=True, capture_output=True, timeout=60).stdout


def main() -> int:
    """1 if something is wrong, with a line for each."""
    made = [(f"overlays/{name}", one) for name, some in built().items() for one in some]
    wrong, seen, foreign = [], set(), 0
    for place, manifest in [*of_files(), *made]:
        manifest["metadata"].pop("namespace", None)  # kustomize gives it to each; a document is looked at once
        text = json.dumps(manifest, sort_keys=True)
        if text in seen:
            continue
        seen.add(text)
        if manifest["apiVersion"].startswith(FOREIGN):
            foreign += 1
            continue
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            wrong.append(f"{place}: {manifest['kind']} {manifest['metadata']['name']}: {path}: {error.message[:300]}")
    sys.stdout.write("".join(f"{line}\n" for line in wrong) or f"{len(seen) - foreign} manifests are right\n")
    sys.stdout.write(
        f"{foreign} are of kinds that others define ({', '.join(FOREIGN)}): not compared\n" if foreign else ""
    )
    sys.stdout.write(f"put together: {', '.join(built())}\n" if built() else f"{NOT_BUILT}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
