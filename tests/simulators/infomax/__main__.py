"""`python -m tests.simulators.infomax FILE.xlsx --rows 500 --hz 2 --seconds 300`: a sheet that changes, as a process of
its own. The last line of its output is one JSON object: how many rows changed, and what the sheet shows at the end."""

import argparse
import json
import sys
import time
from pathlib import Path

from terminals.wire.options import between, decimal
from tests.simulators.infomax.workbook import MAP, Market, Workbook, play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=between(1, 10_000), default=500)
    parser.add_argument("--hz", type=decimal(0.1, 10), default=2.0)
    parser.add_argument("--seconds", type=decimal(0, 86_400), default=300.0)
    parser.add_argument("--seed", type=between(0, 2**31 - 1), default=1)
    parser.add_argument("--trouble", action="store_true", help="save it in all the ways that a reader has to survive")
    given = parser.parse_args()
    new = given.file.with_suffix(".new.toml")
    new.write_text(MAP, encoding="utf-8")
    new.replace(given.file.with_suffix(".toml"))
    market = Market(given.rows, given.seed)
    workbook = Workbook(given.file, market, trouble=given.trouble, seed=given.seed)
    due = time.monotonic()

    def wait(seconds: float) -> None:
        nonlocal due
        due += seconds
        time.sleep(max(0.0, due - time.monotonic()))

    changed = play(market, workbook, round(given.hz * given.seconds), wait, 1 / given.hz)
    last = {
        code: [market.price[code], market.volume[code], market.value[code], market.base[code], market.high[code]]
        for code in market.codes
    }
    shown = {
        code: [(*picture, at) for picture, at in zip(pictures, market.shown_at[code], strict=True)]
        for code, pictures in market.shown.items()
    }
    told = {"versions": market.version + 1, "changed_rows": changed, "last": last, "shown": shown}
    json.dump(told, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
