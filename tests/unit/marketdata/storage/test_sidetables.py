from marketdata.storage import sidetables


def test_rows_of_cache_tables_are_written_together_within_bounds_and_each_once(monkeypatch):
    monkeypatch.setattr(sidetables, "_TOGETHER", 3)
    monkeypatch.setattr(sidetables, "_BYTES", 10)
    rows = [(str(at), "krx", "5Min", at, "x" * size) for at, size in enumerate([2, 3, 5, 1, 1, 1, 1, 99, 4, 6, 1])]

    parts = list(sidetables._statements(rows))

    assert [row for part in parts for row in part] == rows
    assert [[len(row[-1]) for row in part] for part in parts] == [[2, 3, 5], [1, 1, 1], [1], [99], [4, 6], [1]]
    assert list(sidetables._statements([])) == []
