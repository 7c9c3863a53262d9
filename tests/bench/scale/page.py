"""Writes docs/benchmarks-scale.md and its picture from what was found; nothing is measured here."""

from __future__ import annotations

from pathlib import Path

from tests.bench import latency, picture, report, results, rows
from tests.bench.picture import Bar, Panel
from tests.bench.scale import capacity, figures, history, sockets
from tests.bench.scale.figures import Scale
from tests.bench.scale.history import History, Point
from tests.bench.scale.roads import cost
from tests.soak.report import ALLOCATED, LIMIT_MIB_PER_H, LIMIT_OF_DATABASE, Soak

PAGE = report.ROOT / "docs/benchmarks-scale.md"
PICTURE = report.ROOT / "docs/images/benchmarks-scale.svg"
TEMPLATE = Path(__file__).with_name("page.md")


def write(found: Scale) -> None:
    """Replace the page and the picture, and count the capacity again."""
    PICTURE.write_text(picture.draw(panels(found), caption=caption(found)), encoding="utf-8")
    PAGE.write_text(text(found, figures.longest(), figures.soak()), encoding="utf-8")
    if not found.failed:
        capacity.write(found, figures.longest(), figures.soak())


def caption(found: Scale) -> str:
    """The line below the picture."""
    return results.caption("bench-scale", found.began, found.before, found.after, found.machine)


def text(found: Scale, longest: History | None, soak: Soak | None) -> str:
    """The whole page."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        failed="".join(f"**Not measured: {part}: {reason}**\n\n" for part, reason in found.failed.items()),
        machine=found.machine,
        database=report.NAMES[found.database],
        versions=", ".join(f"{name} {version}" for name, version in found.packages.items()),
        began=found.began,
        kept="".join(f" {name} is of a run before, which ended {ended}." for name, ended in found.kept.items()),
        minutes=found.minutes,
        before=found.before,
        after=found.after,
        terminals=rows.TERMINALS,
        seconds=found.seconds,
        rate=latency.RATE,
        small=latency.BATCH_ROWS,
        roads="\n".join(
            f"| {one.ingest_servers} | {one.workers} | {one.committed_per_s:,.0f} | {cost(one.cpu_us):.1f} "
            f"| {one.p50:.1f} | {one.p99:.1f} | {cost(one.small_cpu_us):.0f} |"
            for one in found.roads
        ),
        sockets="\n".join(
            f"| {one.sockets:,} | {one.symbols_each if one.sockets else ''} | {one.messages_per_s:,.0f} "
            f"| {one.p50:.1f} | {one.p99:.1f} | {one.web_percent:.0f} "
            f"| {one.web_us_a_message:.1f} | {one.messages_a_frame:.1f} | {one.bytes_a_message:.0f} "
            f"| {one.web_mib:.0f} | {one.machine_percent:.0f} |"
            for one in found.sockets
        ),
        symbols="\n".join(
            f"| {one.symbols:,} | {one.p50:.1f} | {one.p99:.1f} | {cost(one.small_cpu_us):.0f} "
            f"| {one.small_cpu_us.get('worker-slow', 0.0):.0f} | {one.committed_per_s:,.0f} | {cost(one.cpu_us):.1f} "
            f"| {capacity.beside_feed(one) / 1000:,.0f} | {one.feed_bytes_a_tick:.0f} |"
            for one in found.symbols
        ),
        day_rows=history.DAY_ROWS,
        history_symbols=history.SYMBOLS,
        requests=history.REQUESTS,
        rounds=history.ROUNDS,
        pool=found.history.pool_mib if found.history is not None else 0,
        tolerated=history.TOLERATED,
        history=_history(found.history),
        longest=_longest(longest, found.history),
        soak=_soak(soak),
    )


def _history(found: History | None) -> str:
    if found is None:
        return "Not measured.\n"
    sizes = [f"{point.rows / 1e6:,.0f} M" for point in found.points[:-1]] + [
        f"{found.points[-1].rows / 1e6:,.0f} M again"
    ]
    lines = [f"| | {' | '.join(sizes)} | ratio |", "|---" * (len(sizes) + 2) + "|"]
    slower = found.slower()
    for at, read in enumerate(found.largest.reads):
        cells = " | ".join(f"{point.reads[at].cpu_ms:.2f}" for point in found.points)
        lines.append(f"| {read.case}, ms | {cells} | {_ratio(slower[read.case])} |")
    fast = [f"{cost(point.cpu_us):.1f}" for point in found.points]
    small = [f"{cost(point.small_cpu_us):.0f}" for point in found.points]
    for name, cells in ((history.WRITE_FAST, " | ".join(fast)), (history.WRITE_SMALL, " | ".join(small))):
        lines.append(f"| {name}, us a tick | {cells} | {_ratio(slower[name])} |")
    lines.append(f"| p99 of those, ms | {' | '.join(f'{point.p99:.1f}' for point in found.points)} | |")
    missed = found.missed()
    return (
        "\n".join(lines)
        + (f"\n\nMore than {history.TOLERATED:.0%}: {'; '.join(missed)}." if missed else "")
        + f"\n\n{report.NAMES[found.database]}; filled at {found.rows_per_s:,.0f} rows a second by two processes,"
        " with everything that belongs to them.\n"
    )


def _ratio(ratio: float) -> str:
    return f"**{ratio:.2f}, missed**" if ratio > history.TOLERATED else f"{ratio:.2f}"


def _longest(longest: History | None, shown: History | None) -> str:
    if longest is None or (shown is not None and longest.largest.rows <= shown.largest.rows):
        return ""
    return f"\n### {longest.largest.rows:,} rows\n\nAnother run of the same part.\n\n{_history(longest)}"


def _soak(found: Soak | None) -> str:
    if found is None:
        return "Not measured."
    grows = found.grows()
    return (
        TEMPLATE.with_name("soak.md")
        .read_text(encoding="utf-8")
        .format(
            soak=found,
            database=report.NAMES[found.database],
            limit=LIMIT_MIB_PER_H,
            own_limit=(
                f", that of {report.NAMES[found.database]} below {LIMIT_OF_DATABASE:g}: its resident memory grows for"
                f" hours while what it has allocated (`{ALLOCATED}`, which must be below {LIMIT_MIB_PER_H:g}) does not"
                if found.tells_allocated
                else ""
            ),
            faults=len(found.faults),
            programs="\n".join(
                f"| {one.program} | {one.first_mib:.1f} | {one.last_mib:.1f} "
                f"| {max(one.mib_per_h, one.all_mib_per_h):+.2f} | {one.fds[0]:.0f} to {one.fds[1]:.0f} "
                f"| {one.threads[0]:.0f} to {one.threads[1]:.0f} | {one.cpu_percent:.1f} |"
                for one in found.programs
            ),
            numbers="\n".join(
                f"| {one.name} | {one.first:.1f} | {one.last:.1f} | {one.per_h:+.2f} |" for one in found.numbers
            ),
            verdict=f"Grows faster than it may: {'; '.join(grows)}." if grows else "Nothing grows faster than it may.",
        )
    )


def panels(found: Scale) -> list[Panel]:
    """What the picture shows of a run."""
    roads = [
        Bar(f"{one.ingest_servers} ingest, {one.workers} workers", one.committed_per_s, f"{one.committed_per_s:,.0f}")
        for one in found.roads
    ]
    heard = [
        Bar(f"{one.sockets:,} × {one.symbols_each} symbols", one.p99, f"{one.p50:.0f} / {one.p99:.0f}")
        for one in found.sockets
        if one.p50 < sockets.QUEUE_MS
    ]
    kinds = [kind for kind in found.symbols[0].small_cpu_us if kind != "terminals"] if found.symbols else []
    spread = [
        Bar(
            f"{one.symbols:,} symbols", cost(one.small_cpu_us), f"{cost(one.small_cpu_us):.0f}",
            pieces=[one.small_cpu_us[kind] for kind in kinds],
        )
        for one in found.symbols
    ]  # fmt: skip
    slower = found.history.slower() if found.history is not None else {}
    return [
        Panel("Committed ticks, batches of 1,000", "a second; more is better", roads),
        Panel("A tick to a socket that hears all, beside others", "p50 / p99 in ms; less is better", heard),
        Panel("CPU by process, small batches and all upkeep", "microseconds a tick; less is better", spread, kinds),
        Panel(
            f"Beside {found.history.largest.rows / 1e6:,.0f} million rows" if found.history is not None else "History",
            "CPU against that beside the smallest history; 1.00 is the same",
            [Bar(name, ratio, f"{ratio:.2f}") for name, ratio in slower.items()],
        ),
    ]


def summary(found: Scale) -> dict[str, object]:
    """The figures of the last line."""
    by = {(one.ingest_servers, one.workers): one for one in found.roads}
    most: Point | None = found.history.largest if found.history is not None else None
    return {
        "ticks_per_s": {f"{servers}x{workers}": round(one.committed_per_s) for (servers, workers), one in by.items()},
        "us_per_tick": {f"{servers}x{workers}": round(cost(one.cpu_us), 1) for (servers, workers), one in by.items()},
        "p99_ms_by_sockets": {f"{one.sockets}x{one.symbols_each}": one.p99 for one in found.sockets},
        "web_us_a_message": {
            f"{one.sockets}x{one.symbols_each}": round(one.web_us_a_message, 1) for one in found.sockets if one.sockets
        },
        "us_per_tick_by_symbols": {str(one.symbols): round(cost(one.small_cpu_us)) for one in found.symbols},
        "history_rows": most.rows if most is not None else 0,
        "slower": found.history.slower() if found.history is not None else {},
        "missed": found.history.missed() if found.history is not None else {},
        "failed": list(found.failed),
        "calibration_ms": round(found.before.ms),
    }
