"""`python -m tests.bench.kis_frames`: H0STCNT0 records a second of one core, from frames to rows with the search for
holes, beside pandas reading the same frames (if it is installed) as KIS's own samples do. CPU time; one JSON line.

pandas reads text into columns: no checks, no times, no exact prices, and frames of one record only.
"""

import datetime
import functools
import importlib
import importlib.util
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from terminals.sources.kis.frames import Reader, take_apart
from terminals.sources.kis.layouts import LAYOUTS
from terminals.sources.kis.records import Converter
from terminals.sources.kis.volume_holes import VolumeHoles
from tests.simulators.kis import wire_records
from tests.simulators.kis.market import KST, Market

TR = "H0STCNT0"
RECORDS, SYMBOLS, ROUNDS, EACH = 10_000, 200, 5, 200
NOW_US = 1_795_000_000_000_000  # of no weight to these frames, which are all dated


def main() -> None:
    """Measure frames of one record, and of up to five."""
    found: dict[str, object] = {"records": RECORDS, "python": sys.version.split()[0]}
    for most in (1, 5):
        frames = made(most)
        found[f"frames_of_{most}"] = {
            "records_per_s": rates(functools.partial(ours, frames)),
            "pandas_a_frame_per_s": rates(functools.partial(pandas_each, frames), rounds=3) if has_pandas() else None,
        }
    if has_pandas():
        frames = made(1)
        found["pandas_all_frames_at_once_per_s"] = rates(functools.partial(pandas_all, frames))
    sys.stdout.write(json.dumps(found) + "\n")


def decode_per_s() -> int:
    """Records a second of one core at one record a frame, the hardest case."""
    return rates(functools.partial(ours, made(1)))["median"]


def made(most: int) -> list[str]:
    """Frames of one to `most` records each, RECORDS together."""
    market, rng = Market(seed=1, symbols=SYMBOLS), random.Random(1)
    began = datetime.datetime(2026, 11, 20, 10, tzinfo=KST)
    frames, left = list[str](), RECORDS
    while left:
        count = min(left, rng.randint(1, most))
        stock, now = market.choose(), began + datetime.timedelta(seconds=len(frames) // 50)
        records = [wire_records.trade(market.trade(stock, now), stock, market.book(stock)) for _ in range(count)]
        frames.append(f"0|{TR}|{count:03d}|" + "^".join("^".join(one) for one in records))
        left -= count
    return frames


def ours(frames: Sequence[str]) -> int:
    """Frames to rows, and what is missing between them; how many rows."""
    reader, converter, holes, rows = Reader(), Converter(), VolumeHoles(), 0
    for frame in frames:
        _encrypted, tr_id, count, payload = take_apart(frame)
        made_of_it = converter.convert(reader.read(tr_id, count, payload), NOW_US)
        rows += len(holes.check(made_of_it.feed, made_of_it.rows, NOW_US).rows)
    assert rows == RECORDS, rows
    return rows


def pandas_each(frames: Sequence[str]) -> int:
    """A DataFrame a frame, as the official sample makes them."""
    pd: Any = importlib.import_module("pandas")

    names, rows = list(LAYOUTS[TR].names), 0
    for frame in frames[:EACH]:
        rows += len(pd.read_csv(io.StringIO(frame.split("|", 3)[3]), header=None, sep="^", names=names, dtype=object))
    return rows


def pandas_all(frames: Sequence[str]) -> int:
    """All frames in one call, which a live feed never has."""
    pd: Any = importlib.import_module("pandas")

    text = "\n".join(frame.split("|", 3)[3] for frame in frames)
    return len(pd.read_csv(io.StringIO(text), header=None, sep="^", names=list(LAYOUTS[TR].names), dtype=object))


def rates(run: Callable[[], int], *, rounds: int = ROUNDS) -> dict[str, int]:
    """Records a second of CPU: the median, least and most of the rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        done = run()
        found.append(done / (time.process_time() - began))
    return {"median": round(statistics.median(found)), "least": round(min(found)), "most": round(max(found))}


def has_pandas() -> bool:
    """Whether there is one to compare with."""
    return importlib.util.find_spec("pandas") is not None


if __name__ == "__main__":
    main()
