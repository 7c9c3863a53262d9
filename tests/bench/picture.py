"""The results as a picture: bars in an SVG of our own, with titles, units and a figure at each bar. It brings its own
background and follows the reader's light or dark setting, so that it can be read on either."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from tests.bench.results import Results

WIDTH = 860
_LEFT, _RIGHT, _TOP = 250, 90, 24
_BAR, _GAP, _HEAD, _LEGEND, _BETWEEN = 18, 8, 44, 22, 26
_PIECES = 6  # colours for the pieces of a bar
_STYLE = """
  svg { font-family: system-ui, sans-serif; font-size: 13px; }
  .ground { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; } .line { stroke: #d1d9e0; }
  .ours { fill: #0969da; } .other { fill: #afb8c1; } .title { font-size: 15px; font-weight: 600; }
  .p0 { fill: #8c959f; } .p1 { fill: #0969da; } .p2 { fill: #1a7f37; } .p3 { fill: #9a6700; } .p4 { fill: #cf222e; }
  .p5 { fill: #8250df; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #f0f6fc; } .faint { fill: #9198a1; } .line { stroke: #3d444d; }
    .ours { fill: #4493f8; } .other { fill: #656c76; }
    .p0 { fill: #9198a1; } .p1 { fill: #4493f8; } .p2 { fill: #3fb950; } .p3 { fill: #d29922; } .p4 { fill: #f85149; }
    .p5 { fill: #ab7df8; }
  }
"""


@dataclass(slots=True)
class Bar:
    """One bar: its length, or the lengths of its pieces one after the other."""

    label: str
    value: float
    shown: str
    ours: bool = True
    pieces: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Panel:
    """Bars that share a scale; `pieces` names what the colours of their pieces stand for."""

    title: str
    unit: str
    bars: list[Bar]
    pieces: list[str] = field(default_factory=list)

    @property
    def height(self) -> int:
        return _HEAD + len(self.bars) * (_BAR + _GAP) + (_LEGEND if self.pieces else 0)


def draw(panels: list[Panel], *, caption: str) -> str:
    """The text of the SVG. A panel without bars is left out."""
    shown = [panel for panel in panels if panel.bars]
    height = _TOP + sum(panel.height + _BETWEEN for panel in shown) + 20
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(caption)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" {size} rx="6"/>',
    ]
    top = _TOP
    for panel in shown:
        lines += _panel(panel, top)
        top += panel.height + _BETWEEN
    lines += [_text(20, height - 14, caption, "faint"), "</svg>"]
    return "\n".join(lines) + "\n"


def panels(results: Results) -> list[Panel]:
    """What the picture shows of a run."""
    return [make(results) for make in (_rates, _peers, _cpu_full, _cpu_small, _waits, _candles)]


def _panel(panel: Panel, top: int) -> list[str]:
    lines = [
        _text(20, top + 14, panel.title, "title"),
        _text(20, top + 32, panel.unit, "faint"),
    ]
    most = max(bar.value for bar in panel.bars) or 1.0
    room = WIDTH - _LEFT - _RIGHT
    above = top + _HEAD
    for bar in panel.bars:
        lines.append(_text(_LEFT - 10, above + 13, bar.label, anchor="end"))
        at = float(_LEFT)
        for number, piece in enumerate(bar.pieces or [bar.value]):
            colour = f"p{number % _PIECES}" if bar.pieces else "ours" if bar.ours else "other"
            width = piece / most * room
            lines.append(f'<rect class="{colour}" x="{at:.1f}" y="{above}" width="{width:.1f}" height="{_BAR}"/>')
            at += width
        lines.append(_text(round(at) + 6, above + 13, bar.shown))
        above += _BAR + _GAP
    lines.append(f'<line class="line" x1="{_LEFT}" x2="{_LEFT}" y1="{top + _HEAD - 4}" y2="{above - _GAP + 4}"/>')
    at = float(_LEFT)
    for number, name in enumerate(panel.pieces):
        lines.append(f'<rect class="p{number % _PIECES}" x="{at:.0f}" y="{above + 4}" width="11" height="11"/>')
        lines.append(_text(round(at) + 16, above + 14, name, "faint"))
        at += 32 + 7.5 * len(name)
    return lines


def _text(x: int, y: int, text: str, kind: str = "", *, anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _rates(results: Results) -> Panel:
    bars = []
    for road in results.roads():
        committed, alone = road.median("committed_per_s"), road.median("raw_per_s")
        bars.append(Bar(f"{_NAMES[road.database]}: whole road", committed, f"{committed:,.0f}"))
        bars.append(Bar(f"{_STATEMENTS[road.database]} alone", alone, f"{alone:,.0f}", ours=False))
    return Panel("Committed ticks, batches of 1,000", "a second, median of the rounds; more is better", bars)


def _peers(results: Results) -> Panel:
    found = results.peers.measured if results.peers is not None else []
    bars = [
        Bar(f"{one.name} {one.rows_at_once:,}", one.median("per_s"), f"{one.median('per_s'):,.0f}", one.ours)
        for one in sorted(found, key=lambda one: -one.median("per_s"))
    ]
    return Panel("The same rows stored by others", "rows a second, median of the turns; more is better", bars)


def _cpu_full(results: Results) -> Panel:
    return _cpu("CPU by process, batches of 1,000", [(road.database, road.cpu_us()) for road in results.roads()])


def _cpu_small(results: Results) -> Panel:
    return _cpu(
        "CPU by process, batches of 12 at 5,000 ticks a second", [(one.database, one.cpu_us) for one in results.small()]
    )


def _cpu(title: str, costs: list[tuple[str, dict[str, float]]]) -> Panel:
    bars: list[Bar] = []
    kinds: list[str] = []
    for name, cost in costs:
        ours = {"database" if kind in _NAMES else kind: us for kind, us in cost.items() if kind != "terminals"}
        bars.append(Bar(_NAMES[name], sum(ours.values()), f"{sum(ours.values()):,.0f}", pieces=list(ours.values())))
        kinds = list(ours)
    return Panel(title, "microseconds a tick, without the terminals; less is better", bars, kinds)


def _waits(results: Results) -> Panel:
    bars = []
    for one in results.small():
        bars.append(Bar(f"{_NAMES[one.database]}: median", one.p50, f"{one.p50:,.0f}"))
        bars.append(Bar(f"{_NAMES[one.database]}: 99 of 100 within", one.p99, f"{one.p99:,.0f}"))
    return Panel("From a terminal to a browser, batches of 12", "milliseconds; less is better", bars)


def _candles(results: Results) -> Panel:
    bars = []
    for case in results.candles.cases if results.candles is not None else []:
        name = f"{case.minutes} min, {case.order}"
        bars.append(Bar(f"Naru, {name}", case.naru, f"{case.naru:,.0f}"))
        bars.append(Bar(f"polars, {name}", case.polars, f"{case.polars:,.0f}", ours=False))
    return Panel("Minute candles of 1,000,000 ticks", "milliseconds of CPU, one thread; less is better", bars)


_NAMES = {"mariadb": "MariaDB", "postgresql": "PostgreSQL"}
_STATEMENTS = {"mariadb": "LOAD DATA", "postgresql": "COPY"}
