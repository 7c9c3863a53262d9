"""`python -m tests.simulators.infomax.measure`: a sheet that changes, a terminal that reads it, and the stack. The last
line is one JSON object; exit status 1 unless changed rows = rows sent = rows stored."""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from terminals.wire.options import between, decimal
from tests.bench.stack import ROOT, Stack
from tests.servers.process import spawn
from tests.simulators.infomax.workbook import MAP
from tests.waiting import until


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--rows", type=between(1, 10_000), default=500)
    parser.add_argument("--hz", type=decimal(0.1, 10), default=2.0)
    parser.add_argument("--seconds", type=decimal(1, 86_400), default=300.0)
    given = parser.parse_args()
    with Stack(given.database, workers=1) as stack:
        figures = measure(stack, rows=given.rows, hz=given.hz, seconds=given.seconds)
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0 if figures["changed_rows"] == figures["sent"] == figures["stored"] == figures["stock_prices"] else 1


def measure(stack: Stack, *, rows: int, hz: float, seconds: float) -> dict[str, float]:
    """Let the sheet play and count at each end."""
    sheet = stack.folder / "quotes.xlsx"
    sheet.with_suffix(".toml").write_text(MAP, encoding="utf-8")
    terminal = _start(stack, "terminal", ["terminals", "infomax", *_options(stack, sheet), "--poll-ms", "100"])
    until(lambda: "reason=no_file" in stack.tail("terminal"), seconds=60, what="the terminal")
    play = [str(sheet), "--rows", str(rows), "--hz", str(hz), "--seconds", str(seconds)]
    playing = _start(stack, "sheet", ["tests.simulators.infomax", *play])
    playing.wait(seconds + 120)
    shown = json.loads((stack.folder / "sheet.log").read_text().splitlines()[-1])
    with contextlib.suppress(TimeoutError):
        until(lambda: _count(stack, "temp_market_data") >= shown["changed_rows"], seconds=30, what="everything")
    cpu = psutil.Process(terminal.pid).cpu_times()
    terminal.send_signal(signal.SIGTERM)
    terminal.wait(60)
    readings, sent = map(int, re.findall(r" blocks=([0-9]+) rows=([0-9]+) ", stack.tail("terminal"))[-1])
    return {
        "pictures": shown["versions"],
        "changed_rows": shown["changed_rows"],
        "sent": sent,
        "stored": _count(stack, "temp_market_data"),
        "stock_prices": _count(stack, "stock_prices"),
        "rejected": _count(stack, "ingest_reject"),
        "readings": readings,
        "terminal_cpu_ms_per_reading": round((cpu.user + cpu.system) / readings * 1000, 2),
    }


def _options(stack: Stack, sheet: Path) -> list[str]:
    from marketdata.models import Client, Source

    _, secret = Client.objects.create_with_secret(
        name="desk", source=Source.objects.get(code="INFOMAX"), may_send=True, may_register=True
    )
    key = stack.folder / "desk.key"
    key.write_text(secret)
    read = ["--map", str(sheet.with_suffix(".toml")), "--file", str(sheet)]
    link = ["--server", f"127.0.0.1:{stack.ingest_port}", "--client", "desk", "--key-file", str(key)]
    return [*read, *link, "--spool", str(stack.folder / "spool")]


def _start(stack: Stack, name: str, module: list[str]) -> "subprocess.Popen[bytes]":
    log = stack.folder / f"{name}.log"
    return spawn([sys.executable, "-m", *module], environment={**os.environ}, log=log, cwd=ROOT)


def _count(stack: Stack, table: str) -> int:
    return int(stack.rows(f"SELECT COUNT(*) FROM {table}")[0][0])


if __name__ == "__main__":
    sys.exit(main())
