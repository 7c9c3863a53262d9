"""The examples of docs/clients.md as they stand there, with the address and the symbols of a test: each does what the
page says."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests import clients
from tests.integration.serving import PATIENCE_S, minute, serving
from tests.integration.test_stream_served import web
from tests.servers import ServerMissing
from tests.waiting import until

__all__ = ["serving", "web"]
pytestmark = pytest.mark.once
PAGE = Path(__file__).parents[2] / "docs/clients.md"


def examples(heading: str) -> list[str]:
    """The blocks of code below a heading of the page."""
    part = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks, lines = [], list[str]()
    for line in [*part.splitlines(), "."]:
        if line.startswith("    ") or (not line and lines):
            lines.append(line[4:])
        elif lines:
            blocks.append("\n".join(lines).strip() + "\n")
            lines = []
    return blocks


@pytest.fixture
def asking(serving: Any, web: str, tmp_path: Path) -> Any:
    """Starts an example in an empty folder; three trades of two symbols are there."""
    for symbol in ("005930", "000660"):
        serving.commit([minute(at, symbol=symbol) for at in range(3)])

    def start(text: str, *command: str, **more: str) -> subprocess.Popen[str]:
        for there, here in (("127.0.0.1:8000", web), ("S00001", "005930"), ("S00002", "000660"), ("/sim", "/krx")):
            text = text.replace(there, here)
        environment = {
            **os.environ, "KEY": serving.reader.key_id, "SECRET": serving.secret, "PYTHONWARNINGS": "ignore",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1", **more,
        }  # fmt: skip
        return subprocess.Popen(
            [*command, text], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(text: str, *command: str, **more: str) -> str:
        with start(text, *command, **more) as process:
            told, complaint = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, complaint
        return told

    run.start = start  # type: ignore[attr-defined]
    return run


def test_history_and_live_trades_in_python(serving, asking):
    history, live = examples("Python")

    assert re.search(r"^005930 .*70000\.0(.*\n)*.*70002\.0", asking(history, sys.executable, "-c"), re.MULTILINE)
    heard: list[str] = []
    with asking.start(live, sys.executable, "-c") as process:
        reading = threading.Thread(target=lambda: heard.append(process.stdout.readline()))
        reading.start()
        try:
            until(
                lambda: serving.commit([minute(5, price="71000")]) or heard,
                seconds=PATIENCE_S,
                what="a trade",
                every=1.0,
            )
        finally:
            process.kill()
            reading.join()
    assert heard[0].split()[0] == "005930"
    assert heard[0].split()[-2:] == ["71000.0", "1.0"]


def test_candles_in_node(asking):
    (text,) = examples("Node")
    try:
        there = clients.need("node4")
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))

    told = asking(text, shutil.which("node") or "node", "-e", **there)

    assert "70002" in told


def test_candles_by_curl_as_json_and_as_csv(asking):
    (text,) = examples("curl")

    assert '"c":70002' in asking(text, "bash", "-ec")
    assert asking(text.replace("1Day", "1Day&format=csv"), "bash", "-ec").startswith("symbol,feed,time,open,")


def test_an_export_in_pandas_keeps_the_zeros_of_codes(asking):
    (text,) = examples("pandas")

    told = asking(text + "print(sorted(set(bars.symbol)), len(bars), bars.close.max())\n", sys.executable, "-c")

    assert told.splitlines()[-1] == "['000660', '005930'] 2 70002"


def test_an_export_in_duckdb_and_pandas_as_parquet(asking):
    (text,) = examples("DuckDB, R")
    lines = [line for line in text.splitlines() if shutil.which("Rscript") or not line.startswith("Rscript")]

    told = asking("\n".join(lines), "bash", "-ec")

    assert re.search(r"005930 *│ *3 *│", told), told
    assert "[3 rows x 7 columns]" in told
