"""The simulated sheet, read at each of its pictures: what changed in it is sent, row by row, in trouble or not."""

import tomllib

import pytest

from terminals.batcher import Row
from terminals.sources.infomax.column_map import parse
from terminals.sources.infomax.files import FileReader
from terminals.sources.infomax.sheet import Sheet
from tests.simulators.infomax.workbook import MAP, Market, Workbook, play


@pytest.mark.parametrize("trouble", [False, True])
def test_each_change_of_the_sheet_is_a_row_and_the_last_rows_are_what_it_shows(tmp_path, trouble):
    given, market = parse(tomllib.loads(MAP)), Market(rows=60, seed=7)
    path = tmp_path / "quotes.xlsx"
    sheet, reader = Sheet(given), FileReader(path, given.sheet, given.range)
    rows: list[Row] = []
    beats: list[object] = []

    def look(_seconds=0.0):
        change = sheet.take(reader.read_block(), now_us=1_800_000_000_000_000 + len(rows))
        rows.extend(change.rows)
        beats.append(reader.read_cell("T1"))

    changed = play(market, Workbook(path, market, trouble=trouble, seed=7), 40, look, 0.5)
    look()

    assert len(rows) == changed
    assert beats == list(range(41))
    last = {row["symbol"]: (row["price"] // 10**8, row["cum_volume"] // 10**6) for row in rows}
    assert last == {code: (market.price[code], market.volume[code]) for code in market.codes}
    assert sheet.volume_falls == 0
