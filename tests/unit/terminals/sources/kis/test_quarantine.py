import json

from terminals.sources.kis.quarantine import Quarantine


def test_what_cannot_be_read_is_kept_as_it_came_and_counted(tmp_path):
    quarantine = Quarantine(tmp_path / "kis")

    quarantine.keep("0|H0STCNT0|001|가^\ud800", reason="width", tr_id="H0STCNT0", now_us=5)
    quarantine.keep(b"\xff\x00", reason="not_text", tr_id="", now_us=6, records=1)

    lines = [json.loads(line) for line in (tmp_path / "kis/quarantine.jsonl").read_text("utf-8").splitlines()]
    assert [(one["tr"], one["reason"], one["time_us"]) for one in lines] == [
        ("H0STCNT0", "width", 5),
        ("", "not_text", 6),
    ]
    assert lines[0]["text"].startswith("0|H0STCNT0|001|가^")
    assert lines[1]["base64"] == "/wA="
    assert quarantine.counts == {("H0STCNT0", "width"): 1, ("", "not_text"): 1}
    assert (tmp_path / "kis/quarantine.jsonl").stat().st_mode & 0o077 == 0


def test_it_never_grows_beyond_twice_its_limit_and_counts_go_on(tmp_path):
    quarantine = Quarantine(tmp_path, most_bytes=2_000)

    for number in range(100):
        quarantine.keep("x" * 300, reason="width", tr_id=f"T{number % 3}", now_us=number)

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4_000
    assert quarantine.total == 100
    last = (tmp_path / "quarantine.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["time_us"] == 99


def test_one_that_is_very_long_is_kept_by_its_beginning(tmp_path):
    quarantine = Quarantine(tmp_path)

    quarantine.keep("x" * 1_000_000, reason="garbage", tr_id="", now_us=1)

    kept = json.loads((tmp_path / "quarantine.jsonl").read_text())
    assert (len(kept["text"]), kept["length"]) == (65_536, 1_000_000)


def test_a_full_disk_costs_the_file_and_not_the_count(tmp_path):
    quarantine = Quarantine(tmp_path / "kis")
    (tmp_path / "kis/quarantine.jsonl").mkdir()

    quarantine.keep("x", reason="width", tr_id="H0STCNT0", now_us=1)

    assert (quarantine.total, quarantine.not_kept) == (1, 1)


def test_reasons_without_end_are_counted_together(tmp_path):
    quarantine = Quarantine(tmp_path)

    for number in range(300):
        quarantine.keep("x", reason="unknown_tr", tr_id=f"T{number}", now_us=1)

    assert (len(quarantine.counts), quarantine.total) == (201, 300)
