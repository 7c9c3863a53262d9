"""`make nightly` runs every drill that there is, goes on after one that failed, and fails if one did."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def listed() -> list[str]:
    found = re.search(r"^define NIGHTLY\n(.*?)^endef", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_every_drill_has_a_turn():
    targets = set(re.findall(r"^(drill[a-z-]*):", MAKEFILE, re.MULTILINE))

    assert {words.split()[0] for words in listed()} == targets
    assert len(targets) >= 8
    named = set(re.findall(r"\$\(or \$\((\w+)\)|\$\((KILLS|ROWS)\)", MAKEFILE))
    known = {one for pair in named for one in pair if one}
    assert {word.partition("=")[0] for words in listed() for word in words.split()[1:]} <= known


def test_the_night_goes_on_after_a_drill_that_failed_and_says_which(tmp_path):
    """make itself with drills that do nothing: a program of its name that notes what it is asked."""
    noted = tmp_path / "noted"
    drills = tmp_path / "make"
    drills.write_text(f'#!/bin/sh\necho "$@" >>{noted}\ncase "$2" in drill-kafka) exit 2;; esac\n', encoding="utf-8")
    drills.chmod(0o755)
    recipe = MAKEFILE[MAKEFILE.index("define NIGHTLY") : MAKEFILE.index("test-fast:")]
    recipe = recipe.replace("nightly: $(VENV)/dev servers", "nightly:")
    (tmp_path / "Makefile").write_text(recipe, encoding="utf-8")

    done = subprocess.run(
        ["make", "-s", "nightly", f"MAKE={drills}"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )  # fmt: skip

    assert done.returncode != 0
    started = [line.removeprefix("--no-print-directory ") for line in noted.read_text(encoding="utf-8").splitlines()]
    left_out = set() if os.getuid() == 0 else {"drill-ha", "drill-containers"}
    if shutil.which("docker") is None or subprocess.run(["docker", "version"], capture_output=True).returncode:
        left_out.add("drill-containers")
    wanted = [words for words in listed() if words.split()[0] not in left_out]
    assert started == wanted
    table = done.stdout.split("=== what the night came to\n")[1]
    assert re.search(r"^drill-kafka .*FAILED, status 2$", table, re.MULTILINE)
    assert len(re.findall(r"passed$", table, re.MULTILINE)) == len(wanted) - 1
