"""What the page of prices costs whoever looks at it: `python -m tests.bench.analytics.dashboard`.

Terminals send RATE ticks a second to a private database through ingest, workers and web server. Chromium, without a
display and without a graphics card, opens the page LOADS times with nothing kept, and then leaves it open. Told are
what it fetches until it stands (documents, scripts, styles, fonts and pictures, as they come over the wire, their
headers included; no market data), when it paints something for the first time, and how much of a core its tab uses
while prices come. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from terminals import wire
from tests.bench.stack import Stack
from tests.servers.system import browser as installed_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RATE, BATCH_ROWS = 5_000, 50
WORKERS = 2
LOADS = 5
SECONDS, SETTLE_S = 20.0, 5.0
WIDTH, HEIGHT = 1440, 900
DATA = "/v2/"
FIRST_PAINT = """() => new Promise((told) => new PerformanceObserver((list, observer) => {
  const [first] = list.getEntriesByName("first-contentful-paint");
  if (first) { observer.disconnect(); told(first.startTime); }
}).observe({ type: "paint", buffered: true }))"""
PRICES = """() => document.querySelector("#tape")?.innerText ?? document.body.innerText"""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Kilobytes (1,000 bytes) of a first visit, milliseconds to its first paint, and shares of a core while prices
    come: of the tab (the renderer, where all of the page's scripts run), and of the whole browser, which here paints
    without a graphics card."""

    kb_gzip: float
    first_paint_ms: float
    cpu_share: float
    browser_cpu_share: float


class PageStack(Stack):
    """With pages that ask for no login."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PAGE_PUBLIC": "1"}


def measure(database: str, *, seconds: float = SECONDS, loads: int = LOADS) -> Dashboard:
    """Measure on servers of its own, once a process. RuntimeError when there is no Chromium, or the page stands still
    while prices come."""
    from playwright.sync_api import sync_playwright

    path = installed_browser()
    if path is None:
        raise RuntimeError("no Chromium: apt-get install chromium fonts-nanum")
    with PageStack(database, workers=WORKERS) as stack, sync_playwright() as player:
        address = f"http://127.0.0.1:{stack.web_port}/?feed=sim&symbol={stack.symbols[0][0]}"
        stack.load(seconds=seconds + 2 * SETTLE_S + 10 * loads + 60, batch_rows=BATCH_ROWS, rate=RATE)
        browser = player.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        visits = [_visit(browser, address) for _ in range(loads)]
        found = Dashboard(
            round(max(kilobytes for kilobytes, _ in visits), 1),
            round(statistics.median(paint_ms for _, paint_ms in visits), 1),
            *_shares(browser, address, seconds),
        )
        browser.close()
        stack.look()
    print(
        f"page: {found.kb_gzip} KB, first paint {found.first_paint_ms} ms, {found.cpu_share:.0%} of a core by its tab,"
        f" {found.browser_cpu_share:.0%} by the whole browser",
        flush=True,
    )
    return found


def _opened(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="ko-KR", color_scheme="dark")
    return context.new_page()


def _visit(browser: Browser, address: str) -> tuple[float, float]:
    """(Kilobytes, milliseconds to the first paint) of a visit with an empty cache."""
    page = _opened(browser)
    traffic = page.context.new_cdp_session(page)
    traffic.send("Network.enable")
    asked: dict[str, str] = {}
    sizes: dict[str, float] = {}
    traffic.on("Network.requestWillBeSent", lambda event: asked.update({event["requestId"]: event["request"]["url"]}))
    traffic.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.goto(address)
    paint_ms = float(page.evaluate(FIRST_PAINT))
    page.wait_for_timeout(SETTLE_S * 1e3)
    page.context.close()
    fetched = sum(size for request, size in sizes.items() if not urlsplit(asked[request]).path.startswith(DATA))
    return fetched / 1e3, paint_ms


def _shares(browser: Browser, address: str, seconds: float) -> tuple[float, float]:
    """(Of a core by the tab, by the whole browser) while prices come, on a page that has settled."""
    page = _opened(browser)
    page.goto(address)
    page.wait_for_timeout(SETTLE_S * 1e3)
    session = browser.new_browser_cdp_session()
    shown, before = page.evaluate(PRICES), _used_s(session)
    began = float(page.evaluate("() => performance.now()"))
    page.wait_for_timeout(seconds * 1e3)
    took_s = (float(page.evaluate("() => performance.now()")) - began) / 1e3
    after = _used_s(session)
    if page.evaluate(PRICES) == shown:
        raise RuntimeError("the page stood still while prices came")
    tab = sum(used for (kind, process), used in after.items() if kind == "renderer")
    tab -= sum(before.get(one, 0.0) for one in after if one[0] == "renderer")
    whole = sum(used - before.get(one, 0.0) for one, used in after.items())
    return round(tab / took_s, 3), round(whole / took_s, 3)


def _used_s(session: Any) -> dict[tuple[str, int], float]:
    """Seconds of CPU used so far, by the kind and id of each process of the browser."""
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return {(one["type"], one["id"]): float(one["cpuTime"]) for one in told}


def figures(found: Dashboard) -> dict[str, Any]:
    """The figures of the last line."""
    return {"page": {name: getattr(found, name) for name in Dashboard.__dataclass_fields__}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analytics.dashboard", description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "postgresql"), default="mariadb")
    parser.add_argument("--seconds", type=wire.options.between(5, 600), default=SECONDS)
    given = parser.parse_args()
    print(json.dumps(figures(measure(given.database, seconds=given.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
