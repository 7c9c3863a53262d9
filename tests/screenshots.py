"""`make screenshots`: the pictures of README and docs/, taken from what runs at an address. Let `make run` go on for
half an hour before, until there are grades of quality, or for the one of a replay `make run REPLAY=…`. Pages of people
are taken with the login that `make run` wrote, LOGIN=name:password in the environment; who has no alert rule is given
some, so that alerts are there once they have fired: run it twice."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.servers.system import browser

IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
WIDTH, HEIGHT = 1440, 900
SETTLED_MS = 20_000  # the page has asked for everything, also on a busy machine, and some trades came
PAGES = {
    "page": "/?i=sma:5,bbands:10,rsi:5",
    "market": "/market",
    "collection": "/collection",
    "quality": "/quality",
    "alerts": "/alerts",
    "replay": "/",
}
MARKED = "replay"
"""What is only taken when it is named."""
OF_PEOPLE = "alerts"
RULES: tuple[dict[str, Any], ...] = (
    {"name": "전 종목 +1%", "kind": "change", "parameters": {"direction": "above", "level": "1", "band": "0.5"},
     "market": "KRX", "cooldown_s": 3600},
    {"name": "가람전자 체결 없음", "kind": "stale", "parameters": {"seconds": 60}, "symbols": ["S00001"]},
    {"name": "백업 실패", "kind": "alarm", "parameters": {"code": "backup_failed"}},
)  # fmt: skip


def main() -> None:
    """Take the pictures. SystemExit if no browser is there or nothing answers."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:8000", help="where Naru's pages are")
    parser.add_argument("--only", choices=PAGES, help="this picture alone")
    options = parser.parse_args()
    login = os.environ.get("LOGIN", "")  # a command's arguments are seen by everybody
    path = browser()
    if path is None:
        raise SystemExit("no Chromium: apt-get install chromium fonts-nanum")
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        page = chromium.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark", locale="ko-KR", reduced_motion="reduce"
        )
        if login:
            log_in(page, options.address, *login.split(":", 1))
        for name, place in PAGES.items():
            if options.only != name and (options.only or name == MARKED):
                continue
            if name == OF_PEOPLE and not login:
                print(f"{name}: LOGIN=name:password is needed")
                continue
            page.goto(options.address + place)
            page.wait_for_timeout(SETTLED_MS)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            print(f"{file.relative_to(IMAGES.parents[1])}  {file.stat().st_size / 1024:.0f} KiB")
        chromium.close()


def log_in(page: Page, address: str, name: str, password: str) -> None:
    """And give who has no rules those of RULES. SystemExit if the password is not right."""
    page.goto(f"{address}/login/?next=/alerts")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("form.panel button")
    page.wait_for_load_state()
    if "/login" in page.url:
        raise SystemExit(f"{name} may not enter {address} with this password")
    if page.request.get(f"{address}/v2/alerts/rules").json()["rules"]:
        return
    token = next(one["value"] for one in page.context.cookies() if one["name"] == "csrftoken")
    for rule in RULES:
        headers = {"X-CSRFToken": token, "Referer": address}
        answer = page.request.post(f"{address}/v2/alerts/rules", data=rule, headers=headers)
        if not answer.ok:
            raise SystemExit(f"a rule was refused: {answer.text()}")
    page.wait_for_timeout(SETTLED_MS)


if __name__ == "__main__":
    main()
