from terminals.sources import replay
from tests.drill import sample


def test_the_made_up_file_can_be_replayed_and_has_trades_that_share_a_time(tmp_path):
    path = sample.write(tmp_path / "trades.csv", rows=400, seed=2)

    rows = list(replay.read(path))

    assert len(rows) == 400
    assert [row["time_us"] for row in rows] == sorted(row["time_us"] for row in rows)
    assert len({row["time_us"] for row in rows}) < 350


def test_the_same_seed_makes_the_same_file(tmp_path):
    one, two = sample.write(tmp_path / "one.csv", seed=2), sample.write(tmp_path / "two.csv", seed=2)

    assert one.read_bytes() == two.read_bytes()
