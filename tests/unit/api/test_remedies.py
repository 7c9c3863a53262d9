"""Each alarm has a sentence about what to do, on the page as in the document."""

import re
from pathlib import Path

from api.remedies import REMEDIES

OPERATIONS = Path(__file__).resolve().parents[3] / "docs/operations.md"


def test_every_alarm_of_the_document_has_its_remedy_and_no_other():
    part = OPERATIONS.read_text(encoding="utf-8").split("### Alarms")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `")]

    assert set(REMEDIES) == {code for cell in cells for code in re.findall("`([a-z_]+)`", cell)}
