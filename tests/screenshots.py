"""`make screenshots`: the pictures of README, taken from what runs at an address. Let `make run` go on for some minutes
before, or for the one of a replay `make run REPLAY=…`."""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.servers.system import browser

IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
WIDTH, HEIGHT = 1440, 900
SETTLED_MS = 8_000  # the page has asked for everything, and some trades came
PAGES = {
    "page": "/?i=sma:5,bbands:10,rsi:5",
    "market": "/market",
    "collection": "/collection",
    "replay": "/",
}
MARKED = "replay"
"""What is only taken when it is named."""


def main() -> None:
    """Take the pictures. SystemExit if no browser is there or nothing answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:8000", help="where Naru's pages are")
    parser.add_argument("--only", choices=PAGES, help="this picture alone")
    options = parser.parse_args()
    path = browser()
    if path is None:
        raise SystemExit("no Chromium: apt-get install chromium fonts-nanum")
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        page = chromium.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark", locale="ko-KR", reduced_motion="reduce"
        )
        for name, place in PAGES.items():
            if options.only != name and (options.only or name == MARKED):
                continue
            page.goto(options.address + place)
            page.wait_for_timeout(SETTLED_MS)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            print(f"{file.relative_to(IMAGES.parents[1])}  {file.stat().st_size / 1024:.0f} KiB")
        chromium.close()


if __name__ == "__main__":
    main()
