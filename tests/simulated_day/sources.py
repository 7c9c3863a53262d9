"""`make simulate-sources`: KIS, Infomax and Bloomberg at once, each a simulator that is a process of its own with a
terminal that is `python -m terminals`, through the whole stack. Each terminal is killed once, the ingest server and a
worker are started again in the middle. The last line is one JSON object; status 1 unless whatever was said is stored,
refused under a name or told as missing, and nothing is stored twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terminals import wire
from tests.drill import accounting as rows_accounting
from tests.drill import crew, recorded_state
from tests.drill.accounting import Event, OrderBook, Tick
from tests.drill.programs import ROOT
from tests.drill.recorded_state import Sent, Spools
from tests.drill.stack import Stack, Terminal
from tests.servers.process import spawn, temporary_folder
from tests.simulated_day import accounting, day
from tests.simulated_day.sources_accounting import Sheet, Streamed, of_sheet, of_stream
from tests.simulated_day.terminal import START_S
from tests.simulated_day.terminal import Terminal as KisTerminal
from tests.simulators.kis.process import SimulatorProcess
from tests.simulators.process import Simulator
from tests.waiting import limited

KIS, INFOMAX, BLOOMBERG = "kis", "infomax", "bloomberg"
APPKEYS = ["key00", "key01"]
SECURITIES = [f"{number:06} KS Equity" for number in range(900_001, 900_009)]
AGAIN_US = 100_000
"""No terminal starts and reads within it."""
LIMIT_S, ARRIVE_S, DELIVER_S = 1_200.0, 90.0, 180.0
# When (share of the time), what, and how: "kill" is SIGKILL, "term" is SIGTERM; either is started again.
STRIKES = (
    (0.20, INFOMAX, "kill"), (0.30, KIS, "kill"), (0.40, "ingest", "term"), (0.50, BLOOMBERG, "kill"),
    (0.60, "worker1", "term"), (0.65, "ingest", "kill"),
)  # fmt: skip
NAMES = {number: name for name, number in recorded_state.KINDS.items()}


def main() -> int:
    """Run it; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulated_day.sources", description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--seconds", type=wire.options.between(20, 86_400), default=60)
    parser.add_argument("--trades-per-s", type=wire.options.between(10, 100_000), default=400, help="of KIS")
    parser.add_argument("--rows", type=wire.options.between(1, 10_000), default=100, help="of the sheet")
    parser.add_argument("--seed", type=wire.options.between(0, 2**31 - 1), default=1)
    given = parser.parse_args()
    stack = Stack(temporary_folder("sources"), given.database)
    try:
        with limited(LIMIT_S + 3 * given.seconds, "the run"):
            result, findings = run(stack, given)
    except (TimeoutError, RuntimeError, OSError, AssertionError) as error:
        print(stack.tails(), flush=True)
        print(f"the run could not be finished: {error}", flush=True)
        print(json.dumps({"error": str(error).partition("\n")[0]}), flush=True)
        return 1
    finally:
        stack.stop()
        shutil.rmtree(stack.folder, ignore_errors=True)
    for finding in findings[:50]:
        print(finding, flush=True)
    print(json.dumps(result), flush=True)
    return int(any(result[name] for name in ("lost", "doubled", "unexplained")) or bool(findings))


def run(stack: Stack, given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Let all three go on for the time, then account for each; what is wrong, in words. TimeoutError; RuntimeError if a
    simulator ended."""
    stack.start_servers()
    import django

    django.setup()
    securities = [f"--security={name}" for name in SECURITIES]
    with (
        SimulatorProcess(*_kis_options(stack.folder, given)) as kis,
        Simulator("tests.simulators.bloomberg", *securities, "--trades-per-s=100", "--drop-every=1500") as bloomberg,
    ):
        terminal = KisTerminal(stack, kis, APPKEYS)
        sheet = stack.folder / "quotes.xlsx"
        sheet_log = stack.folder / "log" / "sheet.log"
        play = ["--rows", str(given.rows), "--hz", "2", "--seconds", str(given.seconds), "--trouble"]
        command = [sys.executable, "-m", "tests.simulators.infomax", str(sheet), *play]
        playing = spawn(command, environment=dict(os.environ), log=sheet_log, cwd=ROOT)
        if not stack.until(sheet.with_suffix(".toml").exists, seconds=START_S):
            raise TimeoutError("the sheet did not appear")
        crew_ = [
            _kis(stack, terminal),
            _infomax(stack, sheet),
            _bloomberg(stack, bloomberg.told["address"]),
        ]
        stack.start(crew_, web=False)
        terminal.until(terminal.is_registered, "all registrations", seconds=START_S)
        kis.order("go")
        bloomberg.order("go")
        struck, killed_us = _strike(stack, given.seconds)
        kis.order("pause")
        said = bloomberg.order("pause") and bloomberg.account()["said"]
        print("the simulators rest; what they said has to arrive", flush=True)
        if not stack.until(lambda: playing.poll() is not None, seconds=START_S):
            raise TimeoutError("the sheet did not end")
        shown = json.loads(sheet_log.read_text(encoding="utf-8").splitlines()[-1])["shown"]
        account = terminal.settle(lambda: _stored(stack))
        print("of KIS every share is there; now what the others said", flush=True)
        stack.until(lambda: not any(one.lost for one in _streamed(stack, said).values()), seconds=ARRIVE_S)
        stack.until(lambda: not any(one.stale for one in _sheets(stack, shown, killed_us).values()), seconds=ARRIVE_S)
        waited = {name: one for name, one in _streamed(stack, said).items() if one.lost}
        print(f"nothing is waited for any more; not there: {waited or 'nothing'}", flush=True)
        findings = [f"{name} did not end when asked" for name in stack.end([KIS, INFOMAX, BLOOMBERG])]
        findings += crew.deliver(crew_, server=stack.ingest_address, seconds=DELIVER_S)
        findings += [f"{name} did not end when asked" for name in stack.end(["ingest", "worker1", "worker2", "beat"])]
        findings += [f"{what}, {count} times" for what, count in sorted(stack.own_ends.items())]
    return _account(stack, crew_, accounting.told(account), said, shown, struck, killed_us, findings)


def _account(
    stack: Stack,
    crew_: Sequence[Terminal],
    told: accounting.Told,
    said: Mapping[str, list[int]],
    shown: Mapping[str, list[tuple[int, int, int]]],
    struck: Counter[str],
    killed_us: Sequence[int],
    findings: list[str],
) -> tuple[dict[str, Any], list[str]]:
    """Row by row from the spools to the tables, then each source by what its simulator said."""
    spools = {member.name: Spools() for member in crew_}
    sent = {member.name: spools[member.name].look(member.spool) for member in crew_}
    gone = sum(spools[member.name].missing(member.journal) for member in crew_)
    with recorded_state.book(stack.database) as book:
        rows = rows_accounting.rows(
            recorded_state.keyed(spools, book.streams()),
            itertools.chain(((key, tick) for key, _date, tick in book.ticks()), book.records()),
            book.refused(),
        )
        asked = "SELECT b.feed, r.reasons, r.record FROM ingest_reject r JOIN ingest_batch b ON b.batch = r.batch"
        refused = [(f"{feed} {reason}", record) for feed, reason, record in book.rows(asked)]
    for reason, record in refused[:3]:
        print(f"note: refused as {reason}: {record}", flush=True)
    kis = _stored(stack)
    verdict = accounting.judge(told, kis, _kinds(sent[KIS]))
    streamed, sheets = _streamed(stack, said), _sheets(stack, shown, killed_us)
    wrong = [
        *rows.examples,
        *verdict.findings,
        *(f"{name}: {one}" for name, one in streamed.items() if one.lost or one.doubled),
        *(f"{name}: {one}" for name, one in sheets.items() if one.invented or one.stale or one.missed),
    ]
    result = {
        "database": stack.database.name,
        "kills": struck["kill"],
        "restarts": struck["term"],
        "spooled": rows.sent + gone,
        "stored": rows.stored,
        "lost": rows.lost
        + gone
        + sum(one.lost for one in streamed.values())
        + sum(one.stale + one.missed for one in sheets.values()),
        "doubled": rows.duplicated + sum(one.doubled for one in streamed.values()),
        "unexplained": verdict.unexplained + sum(one.invented for one in sheets.values()),
        "rejected": Counter(reason for reason, _record in refused),
        "kis": {
            "sent": sum(told.sent.values()),
            "kinds": dict(kis.kinds),
            "gap_shares": sum(kis.gap_shares.values()),
            "lost_shares_sim": told.lost_shares,
        },
        "infomax": {
            "shown": sum(len(one) for one in shown.values()),
            "stored": sum(one.stored for one in sheets.values()),
            "unread": sum(one.unread for one in sheets.values()),
        },
        "bloomberg": {
            "said": sum(len(times) for times in said.values()),
            "stored": sum(one.stored for one in streamed.values()),
            "in_gaps": sum(one.in_gaps for one in streamed.values()),
        },
    }
    silent = [name for name in (KIS, INFOMAX, BLOOMBERG) if not sent[name].rows]
    return result, [*findings, *wrong, *(f"{name} sent nothing" for name in silent)]


def _strike(stack: Stack, seconds: float) -> tuple[Counter[str], list[int]]:
    """Let the time pass, with what goes wrong in it; how often each way, and when the terminal of Infomax was killed,
    in UTC microseconds."""
    began, done, killed_us = time.monotonic(), Counter[str](), list[int]()
    for share, name, way in STRIKES:
        stack.wait(max(0.0, began + share * seconds - time.monotonic()))
        if (name, way) == (INFOMAX, "kill"):
            killed_us.append(time.time_ns() // 1000)
        pid = stack.kill(name) if way == "kill" else stack.term(name)
        done[way] += 1
        print(f"{share:4.0%} {way:<4} {name:<9} pid {pid}", flush=True)
    stack.wait(max(0.0, began + seconds - time.monotonic()))
    return done, killed_us


# --- the terminals -------------------------------------------------------------------------------------------


def _kis_options(folder: Path, given: argparse.Namespace) -> list[str]:
    steps = folder / "script.json"
    # After a kill each refused handshake would cost a wait as long as the run: a whole day has them.
    script = [step for step in day.script(given.trades_per_s * given.seconds) if step["fault"] != "refuse"]
    steps.write_text(json.dumps(script), encoding="utf-8")
    chances = [f"--chance={fault}={share}" for fault, share in day.REST_FAULTS.items()]
    appkeys = [f"--appkey={KisTerminal.appkey(name)}={KisTerminal.secret(name)}" for name in APPKEYS]
    market = ["--symbols=40", f"--trades-per-s={given.trades_per_s}", f"--book-share={day.BOOK_SHARE}", "--paused"]
    # A book has no date: it is dated by the clock that PINGPONG tells, of a day of the past here.
    market += ["--ping-s=0.5"]
    return [*market, f"--seed={given.seed}", f"--start={day.START}", f"--script={steps}", *chances, *appkeys]


def _kis(stack: Stack, terminal: KisTerminal) -> Terminal:
    journal = stack.folder / "kis.journal"
    command = [*terminal.command, "--journal", str(journal)]
    return Terminal(KIS, "KIS", "krx", command, terminal.spool, terminal.key_file, journal, None)


def _infomax(stack: Stack, sheet: Path) -> Terminal:
    read = ["--map", str(sheet.with_suffix(".toml")), "--file", str(sheet), "--poll-ms", "100"]
    return _member(stack, INFOMAX, "INFOMAX", [sys.executable, "-m", "terminals", "infomax", *read])


def _bloomberg(stack: Stack, address: str) -> Terminal:
    config = stack.folder / "bloomberg.toml"
    lines = [f'"{name}" = "{name.split()[0]}"' for name in SECURITIES]
    config.write_text("\n".join(["[securities]", *lines, ""]), encoding="utf-8")
    # The program finds the stand-in for the SDK first, and that the market.
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests/simulators/bloomberg")])
    environment = ["env", f"PYTHONPATH={folders}", f"FAKE_BLPAPI_MARKET={address}"]
    what = [sys.executable, "-m", "terminals", "bloomberg", "--config", str(config)]
    return _member(stack, BLOOMBERG, "BLOOMBERG", [*environment, *what])


def _member(stack: Stack, name: str, source: str, what: list[str]) -> Terminal:
    from marketdata.models import Client, Source

    _, secret = Client.objects.create_with_secret(
        name=name, source=Source.objects.get(code=source), may_send=True, may_register=True
    )
    spool, key_file, journal = (stack.folder / f"{name}.{part}" for part in ("spool", "key", "journal"))
    key_file.write_text(secret, encoding="ascii")
    command = [
        *what, "--server", f"127.0.0.1:{stack.ingest_port}", "--client", name, "--key-file", str(key_file),
        "--spool", str(spool), "--journal", str(journal), "--register-market", "KRX",
    ]  # fmt: skip
    return Terminal(name, source, name, command, spool, key_file, journal, "KRX")


# --- what is stored ------------------------------------------------------------------------------------------


def _ticks(stack: Stack, columns: str, feed: str) -> list[tuple[Any, ...]]:
    """Of all ticks of a feed, wherever they lie."""
    with recorded_state.book(stack.database) as book:
        parts = (f"SELECT {columns} FROM {table} WHERE feed = '{feed}'" for table in book.tables)
        return list(book.rows(" UNION ALL ".join(parts)))


def _stored(stack: Stack) -> accounting.Stored:
    """Of KIS."""
    with recorded_state.book(stack.database) as book:
        parts = (f"SELECT feed, symbol, kind, size FROM {table}" for table in book.tables)
        ticks = f"({' UNION ALL '.join(parts)}) AS ticks"
        return accounting.stored(lambda sql: list(book.rows(sql)), ticks=ticks)


def _kinds(sent: Sent) -> Counter[str]:
    """A terminal's rows by kind."""
    found = Counter[str]()
    for row in sent.rows.values():
        match row:
            case Tick():
                found[NAMES[row.kind]] += 1
            case OrderBook():
                found["book"] += 1
            case Event():
                found["status"] += 1
    return found


def _streamed(stack: Stack, said: Mapping[str, list[int]]) -> dict[str, Streamed]:
    """By security. The number of a trade is in its price."""
    stored: dict[str, list[int]] = {}
    for symbol, kind, price in _ticks(stack, "symbol, kind, price", BLOOMBERG):
        if kind == "trade":
            stored.setdefault(symbol, []).append(round((price - 1000) * 4))
    gaps: dict[str, list[tuple[float, float]]] = {}
    with recorded_state.book(stack.database) as book:
        for symbol, from_us, to_us in book.rows("SELECT symbol, from_us, to_us FROM gap WHERE feed = 'bloomberg'"):
            gaps.setdefault(symbol, []).append((from_us, to_us))
    symbols = {security: security.split()[0] for security in said}
    return {
        security: of_stream(said[security], stored.get(symbol, []), gaps.get(symbol, []))
        for security, symbol in symbols.items()
    }


def _sheets(
    stack: Stack, shown: Mapping[str, list[tuple[int, int, int]]], killed_us: Sequence[int]
) -> dict[str, Sheet]:
    """By code. Nothing is read before the first picture, nor after a kill until the first one of the next terminal."""
    stored: dict[str, list[tuple[int, int]]] = {}
    read_us = []
    for _seq, symbol, price, volume, at in sorted(_ticks(stack, "seq, symbol, price, cum_volume, event_time", INFOMAX)):
        stored.setdefault(symbol, []).append((int(price), int(volume)))
        read_us.append(recorded_state.micros(at))
    starts_us = [(0, 0), *((at_us, at_us + AGAIN_US) for at_us in killed_us)]
    away = [(at_us, min((one for one in read_us if one > since), default=math.inf)) for at_us, since in starts_us]
    return {code: of_sheet(pictures, stored.get(code, []), away) for code, pictures in shown.items()}


if __name__ == "__main__":
    sys.exit(main())
