"""Writes docs/benchmarks.md and its picture: what was measured, on what and when, how often, how far the runs lie
apart. Text from results; nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.bench import calibration, candles, latency, peers, picture, rest, rows, waiting
from tests.bench import results as figures
from tests.bench.results import Results
from tests.bench.throughput import Throughput

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/benchmarks.md"
PICTURE = ROOT / "docs/images/benchmarks.svg"
NAMES = {"sqlite": "SQLite", "mariadb": "MariaDB", "postgresql": "PostgreSQL"}
STATEMENTS = {"mariadb": "LOAD DATA", "postgresql": "COPY"}
_HERE = Path(__file__).parent


def write(results: Results) -> None:
    """Replace the page and the picture."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(picture.draw(picture.panels(results), caption=caption(results)), encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


def caption(results: Results) -> str:
    """The line below the picture."""
    return figures.caption("bench", results.began, results.before, results.after, results.machine)


def page(results: Results) -> str:
    """The whole text of the page."""
    sections = [_head(results), *(road(one) for one in results.roads())]
    if results.roads() or results.small():
        sections.append(cpu(results))
    if results.small():
        sections.append(small(results))
    if results.mariadb_books is not None:
        sections.append(books(results.mariadb_books))
    if results.peers is not None:
        sections.append(stored_by_others(results.peers))
    if results.candles is not None:
        sections.append(minute_candles(results.candles))
    if results.requests():
        sections.append(rest.section(results.requests(), NAMES))
    if results.waiting is not None:
        sections.append(waiting.section(results.waiting))
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _head(results: Results) -> str:
    return _filled(
        "page",
        budget="\n".join(f"| {work} | {must} | {here} |" for work, must, here in budget(results)),
        failed="".join(f"**Not measured: {part}: {reason}**\n\n" for part, reason in results.failed.items()),
        machine=results.machine,
        versions=", ".join(f"{name} {version}" for name, version in results.versions().items()),
        began=results.began,
        minutes=results.minutes,
        before=results.before,
        after=results.after,
        loops=calibration.LOOPS,
        hashed=calibration.HASHED_BYTES >> 20,
        cells=calibration.CELLS,
        times=calibration.TIMES,
    )


def budget(results: Results) -> list[tuple[str, str, str]]:
    """Work, what it must reach, and what it did here; a line for each that was measured."""
    lines = []
    for one in results.roads():
        name, statement = NAMES[one.database], STATEMENTS[one.database]
        committed, alone = one.median("committed_per_s"), one.median("raw_per_s")
        lines.append(
            (
                f"{name}: committed ticks/s through the whole road, against {statement} alone",
                "≥ 0.80 ×",
                f"**{one.median('ratio'):.2f} ×** ({committed:,.0f} against {alone:,.0f})",
            )
        )
        lines.append(
            (f"{name}: CPU per tick, batches of {rows.BATCH_ROWS:,}", "≤ 17 us", f"**{_sum(one.cpu_us()):.1f} us**")
        )
    for least in results.small():
        name = NAMES[least.database]
        lines.append(
            (
                f"{name}: tick sent → WebSocket received, {latency.RATE:,} ticks/s in batches of {latency.BATCH_ROWS}",
                "p50 ≤ 25 ms, p99 ≤ 80 ms",
                f"**p50 {least.p50} ms, p99 {least.p99} ms**, worst {least.worst} ms",
            )
        )
        lines.append((f"{name}: CPU per tick, the same", "≤ 120 us", f"**{_sum(least.cpu_us):.0f} us**"))
    if results.mariadb_books is not None:
        found = results.mariadb_books
        p50, p99 = (max(getattr(beside, name) for _, beside in found.turns) for name in ("p50", "p99"))
        lines.append(
            (
                f"{NAMES[found.database]}: the same with {found.books_per_s} order books/s beside them",
                "p50 ≤ 25 ms, p99 ≤ 80 ms",
                f"**p50 {p50} ms, p99 {p99} ms**, the worst turn",
            )
        )
    lines += _beside_others(results)
    if results.candles is not None:
        worst = max(case.ratio for case in results.candles.cases)
        lines.append(("candles of 1,000,000 ticks, against polars", "≤ 0.70 ×", f"**{worst:.2f} ×**, the worst case"))
    for asked in results.requests():
        bars = next(cost for cost in asked.costs if cost.case == rest.BARS)
        lines.append((f"{NAMES[asked.database]}: 1,000 bars by REST, CPU", "≤ 12 ms", f"**{bars.median:.1f} ms**"))
    memory = [one.rss_mib for road in results.roads() for one in road.rounds] + [one.rss_mib for one in results.small()]
    if memory:
        lines.append(("memory of all our processes under load", "≤ 1 GiB", f"**{max(memory):,.0f} MiB**"))
    return lines


def _beside_others(results: Results) -> list[tuple[str, str, str]]:
    """The whole road on MariaDB against what others do with storing alone."""
    if results.peers is None or results.mariadb is None:
        return []
    ours = results.mariadb.median("committed_per_s")
    found = {(one.name, one.rows_at_once): one.median("per_s") for one in results.peers.measured}
    lines = []
    for name, size, must in ((peers.BulkCreate.name, 1_000, "≥ 5 ×"), (peers.AsyncpgCopy.name, 1_000, "≥ 1 ×")):
        if (name, size) in found:
            theirs = found[name, size]
            told = f"**{ours / theirs:.1f} ×** ({ours:,.0f} against {theirs:,.0f})"
            lines.append((f"the whole road on MariaDB against {name} {size:,} alone", must, told))
    return lines


def road(one: Throughput) -> str:
    """The rounds on one database."""
    return _filled(
        "road",
        name=NAMES[one.database],
        statement=STATEMENTS[one.database],
        terminals=rows.TERMINALS,
        symbols=rows.SYMBOLS_EACH,
        batch=rows.BATCH_ROWS,
        seconds=one.seconds,
        rounds=len(one.rounds),
        workers=one.workers,
        statement_rows=rows.STATEMENT_ROWS,
        table="\n".join(
            f"| {number} | {round_.raw_per_s:,.0f} | {round_.committed_per_s:,.0f} | {round_.ratio:.2f} "
            f"| {round_.sent:,} | {round_.stored:,} |"
            for number, round_ in enumerate(one.rounds, start=1)
        ),
        raw=one.median("raw_per_s"),
        committed=one.median("committed_per_s"),
        ratio=one.median("ratio"),
        raw_spread=_spread((round_.raw_per_s for round_ in one.rounds), ",.0f"),
        committed_spread=_spread((round_.committed_per_s for round_ in one.rounds), ",.0f"),
        ratio_spread=_spread((round_.ratio for round_ in one.rounds), ".2f"),
    )


def cpu(results: Results) -> str:
    """A table of both databases and both sizes of batches."""
    costs = [(f"{NAMES[one.database]}, batches of {rows.BATCH_ROWS:,}", one.cpu_us(), ".1f") for one in results.roads()]
    costs += [
        (f"{NAMES[one.database]}, batches of {latency.BATCH_ROWS} at {latency.RATE:,} ticks/s", one.cpu_us, ".0f")
        for one in results.small()
    ]
    kinds = ["database" if kind in NAMES else kind for kind in costs[0][1]]
    lines = [f"| | {' | '.join(kinds)} | sum |", "|---" * (len(kinds) + 2) + "|"]
    for name, cost, form in costs:
        cells = " | ".join(format(value, form) for value in cost.values())
        lines.append(f"| {name} | {cells} | {_sum(cost):{form}} |")
    alone = [
        f"{STATEMENTS[one.database]} alone costs {NAMES[one.database]} {one.median('raw_cpu_us'):.1f} us a row."
        for one in results.roads()
    ]
    return _filled("cpu", table="\n".join(lines), alone=" ".join(alone))


def small(results: Results) -> str:
    """Small batches on each database."""
    return _filled(
        "small",
        terminals=rows.TERMINALS,
        asked=latency.RATE,
        small=latency.BATCH_ROWS,
        flush=latency.FLUSH_S * 1000,
        settle=latency.SETTLE_S,
        table="\n".join(
            f"| {NAMES[one.database]} | {one.p50} | {one.p99} | {one.worst} | {one.per_s:,.0f} | {one.ticks:,} |"
            for one in results.small()
        ),
    )


def books(found: latency.Beside) -> str:
    """Ticks with and without order books beside them."""
    return _filled(
        "books",
        name=NAMES[found.database],
        rate=latency.RATE,
        books=found.books_per_s,
        stored=found.books_stored,
        table="\n".join(
            f"| {number} | {without.p50} / {without.p99} | {beside.p50} / {beside.p99} "
            f"| {_sum(without.cpu_us):.0f} | {_sum(beside.cpu_us):.0f} |"
            for number, (without, beside) in enumerate(found.turns, start=1)
        ),
    )


def stored_by_others(found: peers.Peers) -> str:
    """Every way of storing, the slowest first."""
    lines = []
    for one in found.measured:
        name = f"**{one.name}**" if one.ours else one.name
        per_s = f"{one.median('per_s'):,.0f} ({_spread((turn.per_s for turn in one.turns), ',.0f')})"
        costs = f"{one.median('client_us'):.1f} | {one.median('server_us'):.1f}"
        lines.append(f"| {name} | {one.rows_at_once:,} | {one.into} | {per_s} | {costs} |")
    left_out = [f"Left out: {name}, {reason}." for name, reason in found.left_out.items()]
    turns = max(len(one.turns) for one in found.measured)
    return _filled("peers", most=peers.MOST_ROWS, turns=turns, table="\n".join(lines), left_out=" ".join(left_out))


def minute_candles(found: candles.Candles) -> str:
    """Naru's candles beside those of a data frame."""
    lines = [
        f"| {case.minutes} minutes | {case.order} | {case.made:,} | {case.naru:,.0f} ({_spread(case.naru_ms, ',.0f')}) "
        f"| {case.polars:,.0f} ({_spread(case.polars_ms, ',.0f')}) | {case.ratio:.2f} |"
        for case in found.cases
    ]
    return _filled(
        "candles",
        ticks=found.ticks,
        symbols=candles.SYMBOLS,
        turns=max(len(case.naru_ms) for case in found.cases),
        version=found.polars_version,
        table="\n".join(lines),
    )


def _filled(template: str, /, **values: Any) -> str:
    return (_HERE / f"{template}.md").read_text(encoding="utf-8").format(**values)


def _sum(cost: dict[str, float]) -> float:
    return sum(value for kind, value in cost.items() if kind != "terminals")


def _spread(values: Iterable[float], form: str) -> str:
    found = list(values)
    return f"{min(found):{form}} to {max(found):{form}}"
